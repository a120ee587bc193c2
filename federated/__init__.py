"""How rankers learn in place: objectives × schedules × tasks, and the loop that runs them."""
