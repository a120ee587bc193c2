"""The catalogue of readable search queries that the autocomplete simulator's people type and choose from.

The queries come from a small context-free grammar written for this project: a query is a template with a
thing in it ("how to choose a toaster"), and each of fourteen everyday topics has its own things and its own
templates, and takes the shared templates that read well with its things. Nothing is drawn at random and
nothing is fetched, so the catalogue is the same on every machine.
"""

import re
from functools import cache
from typing import Final, NamedTuple

MIN_LENGTH: Final = 3
MAX_LENGTH: Final = 48

_TEXT: Final = re.compile(r"[a-z0-9]+(?:[ -][a-z0-9]+)*")


class Query(NamedTuple):
    """A search query and the one topic that it belongs to."""

    text: str
    topic: str


class _Topic(NamedTuple):
    """The grammar of one topic: its things, its own templates and the shared templates it takes.

    The things are names of single objects if `countable` (they take "a" and "the"), or else plurals and
    names that need no article. `suffix` ends every thing.
    """

    name: str
    things: tuple[str, ...]
    templates: tuple[str, ...]
    shared: tuple[str, ...]
    countable: bool = False
    suffix: str = ""


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in text.split(","))


# The places of a template: {x} the bare thing, {a} with "a" or "an", {the} with "the" (both only where the
# thing is countable), {be} "is" or "are", {do} "does" or "do".
_SHARED: Final[dict[str, str]] = {
    "best": "best {x}",
    "cheap": "cheap {x}",
    "choose": "how to choose {a}",
    "beginners": "{x} for beginners",
    "near": "{x} near me",
    "what": "what {be} {a}",
    "why": "why {be} {the} so popular",
    "worth": "{be} {a} worth it",
    "history": "history of {the}",
    "kids": "{x} for kids",
    "budget": "{x} on a budget",
    "types": "types of {x}",
    "explained": "{x} explained",
}

_YOO: Final = ("euphonium", "ukulele", "unit", "universal")  # a vowel, yet no "an"
_PLURAL: Final = frozenset({"bacteria", "biopics"})
_SINGULAR: Final = frozenset(
    _list("athens, naples, wales, diabetes, measles, shingles, kubernetes, node js, postgres, darts")
)

_TOPICS: Final[tuple[_Topic, ...]] = (
    _Topic(
        "travel",
        _list("""amsterdam, athens, bali, cape town, copenhagen, dubai, edinburgh, egypt, estonia, fiji,
            greece, hawaii, iceland, italy, jamaica, japan, jordan, kenya, kyoto, lisbon, madrid, malta,
            morocco, naples, nepal, new zealand, norway, oslo, paris, peru, prague, quebec, rome, scotland,
            thailand, tokyo, uruguay, utah, venice, vietnam, wales, zanzibar, zurich"""),
        _list("""flights to {x}, cheap flights to {x}, things to do in {x}, {x} weather, {x} hotels,
            {x} itinerary, where to stay in {x}, best time to visit {x}, {x} travel guide, is {x} safe,
            {x} in winter, is {x} worth visiting, how much to tip in {x}, day tours in {x}"""),
        _list("why, history, budget"),
    ),
    _Topic(
        "cooking",
        _list("""apple crumble, banana bread, beef stew, carrot cake, cheesecake, chicken curry, couscous,
            dumplings, dal, eggs benedict, enchiladas, falafel, fish pie, french toast, fried rice, gnocchi,
            hummus, irish stew, jambalaya, jerk chicken, kedgeree, kimchi, lasagne, lentil soup, meatballs,
            naan bread, noodle soup, onion soup, overnight oats, pad thai, pancakes, paella, quiche, ramen,
            roast potatoes, sourdough bread, shakshuka, tiramisu, tomato soup, udon noodles,
            vegetable stir fry, waffles, yorkshire pudding, zucchini bread"""),
        _list("""{x} recipe, how to make {x}, easy {x} recipe, vegan {x}, gluten free {x},
            what to serve with {x}, how to store {x}, can you freeze {x}, calories in {x}, {x} ingredients,
            homemade {x}, {x} for two, {be} {x} healthy, traditional {x}"""),
        _list("best, beginners, near, what, history, kids, budget"),
    ),
    _Topic(
        "health",
        _list("""acne, anxiety, arthritis, asthma, back pain, bronchitis, chickenpox, constipation, diabetes,
            earache, eczema, eye strain, food poisoning, gout, gum disease, hay fever, headaches, heartburn,
            high blood pressure, indigestion, insomnia, iron deficiency, jaundice, jaw pain, kidney stones,
            knee pain, measles, migraines, nausea, neck pain, nosebleeds, osteoporosis, pneumonia, psoriasis,
            rosacea, ringworm, sciatica, shingles, sinusitis, tonsillitis, tinnitus, ulcers, vertigo,
            varicose veins, whooping cough, yeast infections"""),
        _list("""symptoms of {x}, what causes {x}, how to treat {x}, home remedies for {x}, {x} in children,
            {x} in older people, {x} during pregnancy, {be} {x} dangerous, how long {do} {x} last,
            best medicine for {x}, how to prevent {x}, {x} treatment, living with {x},
            when to see a doctor about {x}"""),
        _list("what, types"),
    ),
    _Topic(
        "programming",
        _list("""algorithms, arrays, assembly language, binary trees, css, data structures, debugging, django,
            elixir, erlang, exceptions, functional programming, git, golang, graphql, html, integration tests,
            iterators, java, javascript, json, kotlin, kubernetes, linux, lua, multithreading, node js, numpy,
            object oriented programming, ocaml, postgres, python, quicksort, react, recursion, regex, ruby,
            rust, sql, typescript, unit tests, unicode, vim, web scraping, xml, yaml"""),
        _list("""{x} tutorial, {x} examples, how to learn {x}, {x} cheat sheet, {x} interview questions,
            {x} best practices, {x} exercises, common mistakes with {x}, {x} crash course, best book on {x},
            when to use {x}, {be} {x} hard to learn"""),
        _list("beginners, what, why, history, explained"),
    ),
    _Topic(
        "music",
        _list("""acoustic guitar, accordion, banjo, bass guitar, bassoon, cello, clarinet, drum kit,
            digital piano, electric guitar, euphonium, flute, french horn, grand piano, glockenspiel, harp,
            harmonica, irish flute, jazz guitar, kalimba, keyboard, lute, mandolin, marimba,
            nylon string guitar, oboe, ocarina, pipe organ, piccolo, recorder, saxophone, sitar, synthesizer,
            tuba, trombone, trumpet, ukulele, upright piano, violin, viola, vibraphone, xylophone, zither"""),
        _list("""how to play {the}, {x} lessons near me, {x} sheet music, easy {x} songs, famous {x} players,
            second hand {x}, how to clean {a}, {x} solo, is {the} hard to play, learn to play {the},
            {x} exam pieces, how much does {a} cost"""),
        _list("best, cheap, choose, beginners, what, why, history, kids"),
        countable=True,
    ),
    _Topic(
        "film",
        _list("""action films, animated films, anime films, biopics, bollywood films, christmas films,
            crime dramas, costume dramas, disaster movies, documentaries, dystopian films, epic films,
            fantasy films, gangster films, heist films, horror films, indie films, japanese films,
            kung fu films, korean films, legal thrillers, live action remakes, monster movies, musicals,
            mystery films, nature documentaries, noir thrillers, office comedies, political thrillers,
            period dramas, road movies, romantic comedies, samurai films, science fiction films, silent films,
            spy thrillers, superhero films, teen comedies, time travel films, vampire films,
            video game adaptations, viking films, war films, whodunnits, zombie films"""),
        _list("""{x} to watch tonight, top ten {x}, new {x}, underrated {x}, {x} streaming now,
            best {x} of all time, where to watch {x}, how {be} {x} made, list of {x},
            {x} to watch with friends, famous directors of {x}, {x} at the cinema"""),
        _list("best, what, why, history"),
    ),
    _Topic(
        "sport",
        _list("""archery, athletics, badminton, baseball, basketball, boxing, cricket, cycling, darts, diving,
            fencing, football, golf, gymnastics, hurling, ice hockey, ice skating, judo, karate, kayaking,
            kickboxing, lacrosse, long jump, marathon running, mountain biking, netball, nordic skiing,
            open water swimming, orienteering, paddleboarding, pickleball, polo, rock climbing, rowing, rugby,
            skateboarding, snooker, surfing, table tennis, taekwondo, tennis, ultimate frisbee, volleyball,
            weightlifting, wrestling"""),
        _list("""rules of {x}, {x} equipment, {x} clubs near me, how to get better at {x}, {x} training plan,
            {x} world championship, {x} for fitness, {x} injuries, how to get into {x}, {x} drills,
            famous women in {x}, {x} on television, is {x} a hard sport"""),
        _list("beginners, what, why, history, kids, explained"),
    ),
    _Topic(
        "gardening",
        _list("""apple trees, artichokes, asparagus, basil, beetroot, blueberries, cabbages, carrots,
            courgettes, daffodils, elderberries, fig trees, fuchsias, garlic, geraniums, hydrangeas,
            honeysuckle, irises, ivy, jasmine, japanese maples, kale, lavender, lettuce, mint, nasturtiums,
            onions, oregano, potatoes, pumpkins, quince trees, raspberries, roses, strawberries, sunflowers,
            tomatoes, tulips, verbena, violets, wisteria, wildflowers, yarrow, yew hedges, zinnias"""),
        _list("""how to grow {x}, when to plant {x}, how often to water {x}, growing {x} in pots,
            pests that attack {x}, companion plants for {x}, best soil for {x}, how to propagate {x},
            do slugs eat {x}, {x} in full sun, {x} in shade, best fertiliser for {x}, planting {x} in spring,
            {x} for small gardens, how far apart to plant {x}"""),
        _list("types"),
    ),
    _Topic(
        "finance",
        _list("""annuity, bank account, bridging loan, business loan, cash isa, credit card, current account,
            debit card, debt consolidation loan, equity release plan, executive pension, fixed rate mortgage,
            government bond, guarantor loan, home equity loan, index fund, investment trust, isa,
            joint account, junior isa, life insurance policy, lifetime isa, money market fund, mutual fund,
            notice account, offset mortgage, overdraft, pension, payday loan, premium bond,
            repayment mortgage, retirement plan, rewards card, savings account, student loan, unit trust,
            unsecured loan, variable rate mortgage, workplace pension, zero interest card"""),
        _list("""how does {a} work, {x} calculator, {x} rates, {x} fees, {x} pros and cons,
            {x} mistakes to avoid, {x} rules, compare {x} deals, tax on {a}, {x} for self employed people,
            {x} for students, do i need {a}, alternatives to {a}, is {a} safe"""),
        _list("best, choose, beginners, what, worth, explained"),
        countable=True,
    ),
    _Topic(
        "science",
        _list("""antimatter, atoms, bacteria, black holes, climate change, dark matter, dinosaurs, dna,
            earthquakes, electricity, enzymes, evolution, fossils, galaxies, gravity, hydrogen, inertia,
            infrared light, isotopes, ions, jet streams, kinetic energy, kuiper belt objects, lasers,
            lightning, mitosis, molecules, meteors, neutrinos, osmosis, oxygen, photosynthesis, protons,
            quantum mechanics, quarks, radioactivity, relativity, sound waves, string theory, thermodynamics,
            ultraviolet light, uranium, viruses, volcanoes, x-rays"""),
        _list("""how to explain {x}, who discovered {x}, {x} facts, {x} diagram, {x} quiz,
            {x} in simple terms, {x} school project, definition of {x}, why {be} {x} important,
            questions about {x}, {x} worksheet, how scientists study {x}, {x} revision notes"""),
        _list("what, kids, explained"),
    ),
    _Topic(
        "pets",
        _list("""african grey parrot, axolotl, beagle, bearded dragon, bengal cat, border collie, budgie,
            bulldog, canary, chihuahua, chinchilla, cockatiel, dachshund, dalmatian, english setter, ferret,
            gerbil, german shepherd, golden retriever, goldfish, guinea pig, hamster, iguana, irish setter,
            jack russell, king charles spaniel, labrador, leopard gecko, lovebird, maine coon,
            newfoundland dog, norwegian forest cat, old english sheepdog, poodle, quaker parrot, rottweiler,
            springer spaniel, tortoise, umbrella cockatoo, vizsla, veiled chameleon, whippet,
            yorkshire terrier, zebra finch"""),
        _list("""how to look after {a}, what to feed {a}, {x} names, how long does {a} live,
            {x} health problems, how big does {a} get, {x} breeders near me, can {a} live alone,
            {x} temperament, baby {x}, is {a} a good pet, {x} for first time owners, {x} vet costs"""),
        _list("choose, history"),
        countable=True,
    ),
    _Topic(
        "cars",
        _list("""air filter, alternator, brake pad, car battery, catalytic converter, clutch, drive belt,
            engine mount, exhaust manifold, egr valve, exhaust pipe, fuel filter, fuel pump, gearbox,
            glow plug, head gasket, headlight, heater matrix, ignition coil, ignition switch, intercooler,
            knock sensor, lambda sensor, number plate light, oil filter, oil pump, oxygen sensor,
            parking sensor, reversing light, shock absorber, spark plug, starter motor, steering rack,
            timing belt, turbocharger, universal joint, vacuum pump, voltage regulator, water pump,
            wheel bearing, wiper motor, window regulator"""),
        _list("""how to replace {a}, {x} replacement cost, signs of a bad {x}, {x} problems,
            driving with a faulty {x}, where is {the} in a car, what does {a} do, how long does {a} last,
            {x} noise, how to check {a}, {x} repair, {x} fitting near me, how to test {a}, {x} for an old car,
            how to remove {a}, faulty {x} symptoms"""),
        _list("best, cheap, what"),
        countable=True,
    ),
    _Topic(
        "home",
        _list("""air fryer, armchair, blender, bookcase, ceiling fan, coffee machine, dehumidifier, desk lamp,
            dishwasher, electric blanket, electric oven, extension lead, fridge freezer, gas cooker,
            heat pump, headboard, induction hob, ironing board, jewellery box, juicer, kettle, laundry basket,
            leather sofa, mattress, microwave, night light, nursery dresser, oil heater, office chair,
            ottoman, recliner, robot vacuum, rug, sewing machine, sofa bed, toaster, tumble dryer,
            umbrella stand, vacuum cleaner, venetian blind, vanity unit, wardrobe, washing machine"""),
        _list("""how to clean {a}, {x} dimensions, small {x}, where to put {a}, {x} sale,
            {x} with free delivery, how to get rid of {a}, {x} for a small flat, modern {x},
            how much does {a} cost, {x} reviews, second hand {x}"""),
        _list("best, cheap, choose, worth, types"),
        countable=True,
    ),
    _Topic(
        "photography",
        _list("""abstract, aerial, architectural, astro, beach, bird, black and white, city, concert, drone,
            engagement, fashion, firework, flower, food, golden hour, high speed, infrared, interior,
            jewellery, landscape, long exposure, macro, milky way, newborn, nature, night sky, ocean, outdoor,
            pet, portrait, product, silhouette, smartphone, sports, still life, street, studio, sunset,
            travel, underwater, urban, vintage, wedding, wildlife"""),
        _list("""{x} tips, camera settings for {x}, best lens for {x}, {x} ideas, {x} course, {x} lighting,
            {x} workshops, {x} editing, best tripod for {x}, {x} prices, {x} competition, {x} books,
            how to get better at {x}"""),
        _list("beginners, near, what, budget"),
        suffix=" photography",
    ),
)

TOPICS: Final[tuple[str, ...]] = tuple(topic.name for topic in _TOPICS)


def _is_plural(thing: str) -> bool:
    if thing in _PLURAL or thing in _SINGULAR:
        return thing in _PLURAL
    return thing.endswith("s") and not thing.endswith(("ss", "is", "us", "ics"))


def _fill(template: str, thing: str, countable: bool) -> str:
    """The query that a template makes of a thing, with the articles and the verb that the thing needs."""
    plural = not countable and _is_plural(thing)
    article = "an" if thing.startswith(tuple("aeiou")) and not thing.startswith(_YOO) else "a"
    return template.format(
        x=thing,
        a=f"{article} {thing}" if countable else thing,
        the=f"the {thing}" if countable else thing,
        be="are" if plural else "is",
        do="do" if plural else "does",
    )


@cache
def catalogue() -> tuple[Query, ...]:
    """Every query of the grammar, in the order of its topics, things and templates, no text twice.

    A text that two topics could make belongs to the first of them. Texts that would break the bounds on
    length, or use other than lower-case letters, digits, spaces and hyphens, are left out.
    """
    topics: dict[str, str] = {}
    for topic in _TOPICS:
        templates = (*topic.templates, *(_SHARED[key] for key in topic.shared))
        for name in topic.things:
            for template in templates:
                text = _fill(template, name + topic.suffix, topic.countable)
                if MIN_LENGTH <= len(text) <= MAX_LENGTH and _TEXT.fullmatch(text):
                    topics.setdefault(text, topic.name)
    return tuple(Query(text, topic) for text, topic in topics.items())
