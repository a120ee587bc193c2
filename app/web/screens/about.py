"""The page About: what is simulated, what stays on a device, and a round of each algorithm in a picture."""

from pathlib import Path
from xml.etree import ElementTree

import streamlit as st

from app.reports.pages.blocks import Table
from app.web.drawing import draw_table

PICTURES = Path(__file__).resolve().parents[2] / "pictures"

PLACES = (
    ("what somebody searched", "on their device", "never"),
    ("features: how often, how lately, after what", "on their device, from their own past", "never"),
    ("their own model", "on their device", "never"),
    ("updates of the common model", "made on the device", "to the server, or to neighbouring devices"),
    ("which queries there are, and how often each is searched", "counted from everyone", "yes, centrally"),
    (
        "what you type and accept here",
        "in the memory of the app, for this tab alone",
        "never, and it is not written down",
    ),
)

ROUNDS = (
    (
        "persa-fl.svg",
        "PersA-FL",
        "Personalised asynchronous federated learning. Nobody waits for anybody: a device reads the model, "
        "takes a few steps on its own searches, and sends the change, which the server adds when it arrives. "
        "The steps can look ahead to what each user will make of the model, by MAML or by a Moreau envelope; "
        "then it is a good start for everyone's own.",
    ),
    (
        "pars-push.svg",
        "PARS-Push",
        "The same without a server. Devices wake when they like, and send to their neighbours over links "
        "that lose and delay messages. Each sends the sum of all that it ever gave, so that the next message "
        "makes up for a lost one. The weight y tells how much of everyone's model has come together in x.",
    ),
    (
        "memrl.svg",
        "MEMRL",
        "Moreau-envelope meta reinforcement learning: the same idea where nobody says what is right, and "
        "there is only a reward. Each task adapts a policy of its own, held near the common one, "
        "which then moves towards their mean. No second derivatives are needed.",
    ),
)


LIMITS = (
    "Nothing here encrypts or adds noise, and model updates can give away what they were made from.",
    "The list of queries, and how often each is searched, is gathered centrally. A product needs a private "
    "way to count them.",
    "Simulated users choose for reasons that a ranker can learn. Your users' gain will differ: import a log "
    "and look.",
    "The app has no password. It is served to this machine only, unless it was started with `--host`, and it "
    "asks no other machine for anything.",
)


def described(picture: str) -> str:
    """What an SVG says of itself in words."""
    return str(ElementTree.fromstring(picture).findtext("{http://www.w3.org/2000/svg}desc"))


def main() -> None:
    """Draw the page."""
    st.title("About", anchor=False)
    st.markdown(
        "PersaRank trains autocomplete rankers that know each user, without collecting anyone's searches. It "
        "is a **simulator**: it computes what phones and servers would, on this machine, on a virtual clock. "
        "So all users' data lies here, and figures do not depend on how fast the machine is."
    )
    st.header("What stays on a device", anchor=False)
    draw_table(
        Table("What is where, and what is sent", ("what", "where it is", "is it sent?"), PLACES, words=3)
    )
    st.header("A round of each algorithm", anchor=False)
    for file, name, told in ROUNDS:
        picture, words = st.columns([3, 2], gap="large", vertical_alignment="center")
        drawn = (PICTURES / file).read_text(encoding="utf-8")
        picture.image(drawn, width="stretch", alt=described(drawn))
        words.markdown(f"### {name}\n\n{told}")
    st.header("Limits", anchor=False)
    st.markdown("\n".join(f"- {limit}" for limit in LIMITS))


main()
