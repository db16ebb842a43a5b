"""MODEL_CARD.md, filled from the run that made the bundle."""

from collections.abc import Collection, Mapping, Sequence

from emotion_perception.core.model_bundle import STATES

from .calibration import CERTAIN_ABOVE, CERTAIN_ACCURACY
from .config import BundleConfig
from .judgements import GAIN, LATE_FUSION, PAIRS
from .labels import LABELS, VALENCE_AROUSAL, VALENCE_AROUSAL_SOURCE

# The people of the corpora as they are published.
PUBLISHED = {
    "ravdess": [f"{actor:02d}" for actor in range(1, 25)],
    "emodb": ["03", *(f"{speaker:02d}" for speaker in range(8, 17))],
}
CALLED = {"ravdess": "RAVDESS's actors", "emodb": "EmoDB's speakers"}
TERMS = {
    "ravdess": "RAVDESS CC BY-NC-SA 4.0",
    "emodb": "EmoDB for research",
    "nemo": "nEMO CC BY-NC-SA 4.0",
}
# What the weights that a network starts from have learnt from, and their terms.
STARTS = {
    "faceres.json": (
        "VGGFace2 (Cao et al. 2018), by the weights that one face network starts from (HSE-FaceRes, Savchenko 2019, as "
        "npm's @vladmandic/human ships them under MIT)"
    ),
    "smart-turn-v3.2-cpu.onnx": (
        "Speech of the web in many languages, and of turns in conversations in 23, by the weights that the voice "
        "encoder starts from (Whisper-tiny, Radford et al. 2023, MIT, as Smart Turn v3.2 by Daily goes on from it, BSD "
        "2-Clause, and as PyPI's pipecat-ai ships it)"
    ),
}


def licence(config: BundleConfig) -> str:
    """Terms of the weights, by those of what they learnt from."""
    terms = ["FER2013 for research", *(TERMS.get(corpus, f"{corpus} by its own terms") for corpus in _corpora(config))]
    begun = "Notices of the weights that networks began with are in NOTICE of the default bundle. "
    return (
        f"The weights inherit the non-commercial terms of their training data ({'; '.join(terms)}): research and other "
        f"non-commercial use only, share alike, with attribution. {begun if _starts(config) else ''}The code that made "
        "them is Apache-2.0."
    )


def training_data(config: BundleConfig, speakers: Collection[str]) -> list[str]:
    """What the bundle learnt from; speakers: of the voices among it."""
    known = {corpus: [name for name in names if f"{corpus}-{name}" in speakers] for corpus, names in PUBLISHED.items()}
    boredom = "with boredom as neutral" if config.audio_training.emodb_boredom else "without boredom"
    voices = {
        "ravdess": f"RAVDESS emotional speech, voice only, actors {_spans(known['ravdess'])} (Livingstone & Russo "
        "2018), CC BY-NC-SA 4.0",
        "emodb": f"Berlin EmoDB {boredom}, speakers {_spans(known['emodb'])} (Burkhardt et al. 2005), research use",
        "nemo": "nEMO, emotional speech in Polish (Christop 2024), for the voice encoder alone, CC BY-NC-SA 4.0",
    }
    return [
        "FER2013 (ICML 2013 workshop challenge), research use, with the FER+ votes (Barsoum et al. 2016)",
        *(voices.get(corpus, f"{corpus}, by its own terms") for corpus in _corpora(config)),
        *(STARTS.get(start, f"what the weights of {start} learnt from") for start in _starts(config)),
    ]


def _corpora(config: BundleConfig) -> list[str]:
    """Of voices: those that are judged, and those that are only learnt from."""
    return [*config.splits, *config.audio_training.shares]


def _starts(config: BundleConfig) -> list[str]:
    """The files whose weights its networks start from, each once."""
    files = [*(member.start_from for member in config.face_encoder.members), config.audio_encoder.start_from]
    return [file for file in dict.fromkeys(files) if file is not None]


def _spans(numbers: Sequence[str]) -> str:
    """Such as 03, 08 to 14: what follows one on the other is told by its ends."""
    spans: list[list[str]] = []
    for number in numbers:
        if spans and int(number) == int(spans[-1][-1]) + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    return ", ".join(span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans)


def render_model_card(config: BundleConfig, training: dict, calibration: dict[str, dict[str, float]]) -> str:
    """Markdown from what model.json holds under `training` and `calibration`."""
    sections = (
        _introduction(config, training),
        _tensors(config),
        _data(config, training),
        _figures(training["metrics"], config),
        _calibration(config, training["metrics"], calibration),
        _derived(),
        _limits(training["speakers"]["train"]),
        f"## Licence\n\n{licence(config)}",
    )
    return "\n\n".join(sections) + "\n"


def _introduction(config: BundleConfig, training: dict) -> str:
    networks = " and ".join(f"`{member.name}`" for member in config.face_encoder.shipped)
    return f"""# {config.model_id}

Estimates which of seven emotions a person shows from the face and the voice of the last seconds:
{", ".join(LABELS)}.

Three graphs: {networks} per face crop, `{config.audio_encoder.name}` per window of voice, both in 8-bit
integers, and an intermediate fusion in which both rows of embeddings attend to each other (bidirectional
cross-attention, learned gate, either modality may be missing). Made by
`python -m emotion_training.build_default_bundle` from commit `{training["commit"]}` with seed {training["seed"]};
the whole configuration is in `model.json`. What a person shows is not what a person feels."""


def _tensors(config: BundleConfig) -> str:
    size_px, face = config.face_encoder.size_px, sum(m.options["embedding"] for m in config.face_encoder.shipped)
    rate_hz, audio = config.audio_encoder.sample_rate_hz, config.audio_encoder.options["embedding"]
    samples = round(rate_hz * config.audio_encoder.window_s)
    bins = config.fusion.bins
    tensors = (
        (
            "`face_encoder.onnx`",
            "in `face`",
            f"uint8 (B, {size_px}, {size_px}, 3)",
            "RGB crop, framed like FER2013",
        ),
        ("", "out `embedding`", f"float32 (B, {face})", ""),
        ("", "out `fer2013_logits`", f"float32 (B, {len(LABELS)})", "in the labels of FER2013; not used by the robot"),
        ("`audio_encoder.onnx`", "in `audio`", f"float32 (B, {samples})", f"{rate_hz} Hz mono in [-1, 1]"),
        ("", "out `embeddings`", f"float32 (B, Ta, {audio})", "tokens in time, oldest first"),
        (
            "`fusion.onnx`",
            "in `face_embeddings`",
            f"float32 (B, {bins}, {face})",
            "a mean per bin, oldest first",
        ),
        ("", "in `face_mask`", f"bool (B, {bins})", "True where a face was seen"),
        ("", "in `audio_embeddings`", f"float32 (B, Ta, {audio})", ""),
        ("", "in `audio_mask`", "bool (B,)", "True where the voice is to be used"),
        ("", "out `logits`", f"float32 (B, {len(LABELS)})", "to be divided by the state's temperature"),
        ("", "out `modality_weights`", "float32 (B, 2)", "face, audio; sum to 1, 0 for a missing one"),
    )
    rows = "\n".join(f"| {' | '.join(tensor)} |" for tensor in tensors)
    return f"""## Tensors

| graph | tensor | type and shape | meaning |
|---|---|---|---|
{rows}

A face bin averages the embeddings of {config.fusion.bin_s} s; the last bin ends now. Samples before a stream
began are zeros. All preprocessing (grey, scaling, level, log-mel) is inside the graphs. What masked inputs
hold has no influence, not even NaN. With nothing present the weights are 0 and the logits mean nothing."""


def _data(config: BundleConfig, training: dict) -> str:
    counts = training["counts"]
    rows = "\n".join(f"- {item}" for item in training["data"])
    voices = ", ".join(
        f"{of['clips']} clips of {of['speakers']} speakers of {corpus}" for corpus, of in counts["voices"].items()
    )
    return f"""## Data

{rows}

Faces: {counts["faces"]["train"]} to learn from, {counts["faces"]["validation"]} to choose by,
{counts["faces"]["test"]} to measure on (PublicTest). FER2013 holds many pictures twice, also across its
parts: copies of test pictures that are the same byte for byte were taken out of the training part, other copies
merged. Votes for contempt, unknown and "not a face" were dropped.
Voices, all to learn from: {voices}; those of {" and ".join(config.splits)}
are measured in {len(training["metrics"]["folds"])} folds of the speakers, see below. Calm joins neutral.
Fusion: **synthetic label-matched pairs** of these faces and voices: nobody in them was seen and heard at
once. A face whose annotators agreed more than is usual for its class gets no voice of normal intensity, any other
face no strong one: on the true pairs of RAVDESS, voices with facial action units, the errors of both go together a
little more than the class alone makes them, and the intensity is a part of it."""


def _figures(metrics: dict, config: BundleConfig) -> str:
    folds = metrics["folds"]
    speakers = sum(len(fold["test"]) for fold in folds)
    rows = ["| what | figure | 95 % interval | n |", "|---|---|---|---|"]
    face = metrics["face"]
    ferplus, fer2013 = "against the FER+ majority, 7 classes, PublicTest", "against FER2013's label, PublicTest"
    rows += [
        _row(f"face only: accuracy {ferplus}", face["bundle"]["ferplus_majority_accuracy"]),
        _row(f"face only: UAR {ferplus}", face["bundle"]["ferplus_majority_uar"]),
        _row(
            "face only: the same accuracy where more than half of the votes agree",
            face["bundle"]["ferplus_clear_majority_accuracy"],
        ),
        _row(f"`fer2013_logits`: accuracy {fer2013}", face["encoder, head of FER2013"]["fer2013_folder_accuracy"]),
        _row(f"`fer2013_logits`: UAR {fer2013}", face["encoder, head of FER2013"]["fer2013_folder_uar"]),
        _row(f"face only, judged by FER+: accuracy {fer2013}", face["bundle"]["fer2013_folder_accuracy"]),
    ]
    for corpus, voice in metrics["audio"]["bundle"].items():
        rows.append(_row(f"voice only: UAR on {corpus}, {len(voice['speakers'])} new speakers", voice["uar"]))
    for protocol, figures in metrics[PAIRS].items():
        for state in (*STATES, LATE_FUSION):
            rows.append(_row(f"{PAIRS}, {protocol}, {state}: UAR", figures[state]["uar"]))
    gains = "\n".join(_gain(protocol, figures[GAIN]) for protocol, figures in metrics[PAIRS].items())
    latency, cost = metrics["latency"], {name: metrics[name]["encoder in 8-bit integers"] for name in ("face", "audio")}
    times = ", ".join(f"{file} {ms} ms" for file, ms in latency["median_ms_one_core"].items())
    table = "\n".join(rows)
    return f"""## Figures

{table}

Measured on people and pictures that were not learnt from; these parts of public corpora, nothing else.
**Faces**: the files that ship, on pictures of PublicTest; intervals by bootstrap ({config.bootstrap_samples} draws)
over pictures. **Voices and pairs**: not the files that ship, which learnt from all these {speakers} speakers, but
{len(folds)} folds of the same configuration: voice encoder and fusion trained anew, and each speaker judged by the fold
that left that person out; intervals over speakers. *Plain* pairs: one picture in all bins, one window that ends after
the voice. *Perturbed* pairs: bins lost, other pictures of the class and neutral ones among them, augmented pictures
and sound. Pairs have classes in equal numbers, and the same voice occurs in many of them. Which pictures were drawn for
them the intervals leave out: those of pairs by the face alone are ten times too narrow, as another draw changes its UAR
by 0.01. Recall per class, and the
figures of each fold, are in `metrics.json`.

Intermediate fusion against late fusion, the product of the calibrated opinions of the same two encoders, neither of
which expects one class more than another, on the same pairs. The signs of the gains are flipped over the voice clips,
and over the speakers:

| pairs | gain in UAR, 95 % interval over speakers | p, clips | p, speakers |
|---|---|---|---|
{gains}

The face encoder computes in 8-bit integers but for its first frozen layers; all in float32 the accuracy of its own
head against the FER+ majority is {cost["face"]["float32_accuracy"]:.3f} instead of {cost["face"]["accuracy"]:.3f},
and both name the same emotion on {100 * cost["face"]["same_class"]:.1f} % of PublicTest. Of the voice encoder the
products with matrices are in 8-bit integers; its accuracy in the folds is {cost["audio"]["float32_accuracy"]:.3f} in
float32 and {cost["audio"]["accuracy"]:.3f} as it ships, with the same emotion on
{100 * cost["audio"]["same_class"]:.1f} %.

One core, batch 1, median: {times} ({latency["machine"]}, onnxruntime {latency["onnxruntime"]})."""


def _calibration(config: BundleConfig, metrics: dict, calibration: dict[str, dict[str, float]]) -> str:
    rows = [
        "| state | temperature | ECE before | ECE after | uncertain below | certain of | right when certain |",
        "|---|---|---|---|---|---|---|",
    ]
    for state, figure in metrics["calibration"].items():
        entry, right = calibration[state], figure["accuracy_of_certain"]
        least, greatest = figure["ece_after_of_folds"]
        right_share = "nothing" if right is None else f"{100 * right:.0f} %"
        rows.append(
            f"| {state} | {entry['temperature']} | {figure['ece_before']:.3f} "
            f"| {figure['ece_after']:.3f} ({least:.3f} to {greatest:.3f}) | {entry['uncertain_below']} "
            f"| {100 * figure['certain_share']:.0f} % | {right_share} |"
        )
    table = "\n".join(rows)
    return f"""## Calibration

One temperature per modality state, by negative log-likelihood on what the folds said of perturbed pairs of their
speakers. `both` with classes in equal numbers, `face` and `audio` with classes as often as in their corpora: where
emotions are rarer than that, as in daily life, the confidence in them is too high. *Uncertain below*: the lowest
confidence, not below {CERTAIN_ABOVE}, from which on {100 * CERTAIN_ACCURACY:.0f} % were right on the same. The figures
are of each fold by the temperature and the threshold that all others give: expected calibration error (15 bins), the
mean of the folds and from the least to the greatest; what is certain then, and how often it is right. The pictures
are the same in all folds, and so is their encoder: the row of `face` is of the pictures that gave its temperature.

What the head of the face expects, as among faces of a web search, is taken out of its opinion beside a voice; where it
is alone, a class is expected as often as in FER+ to the power {config.fusion.face_prior}. With all of it (1) angry and
scared faces of other corpora are called neutral or sad more often, with nothing (0) neutral ones of FER+ are called
something else.

{table}

{pool_sentence(metrics["pool"])} The weights come
of the same pairs, by negative log-likelihood; in each fold, of its validation people."""


def pool_sentence(pool: Mapping[str, float]) -> str:
    """What the fusion makes of its opinions; pool: the weight of each."""
    return (
        f"Where both are there, the logits are a pool of three: {pool['joint']:.2f} times those of the joint network,\n"
        f"{pool['face']:.2f} times those of the face alone, {pool['audio']:.2f} times those of the voice alone."
    )


def _derived() -> str:
    rows = "\n".join(f"| {label} | {valence} | {arousal} |" for label, (valence, arousal) in VALENCE_AROUSAL.items())
    return f"""## Valence and arousal are derived

The mean of these coordinates under the class probabilities. {VALENCE_AROUSAL_SOURCE}

| emotion | valence | arousal |
|---|---|---|
{rows}"""


def _limits(speakers: Collection[str]) -> str:
    strangers = {
        corpus: _spans([name for name in names if f"{corpus}-{name}" not in speakers])
        for corpus, names in PUBLISHED.items()
    }
    others = [f"{name} {strangers[corpus]}" for corpus, name in CALLED.items() if strangers[corpus]]
    to_try = f"""- To try it on voices that it does not know, take other people of these corpora:
  {" and ".join(others)}.
"""
    return f"""## Limits

- Voices are acted, in studios, by few speakers: English and German ones, who are measured, and Polish ones, who are
  not. French speech, and real rooms and noise, were not measured: the noise in the figures is made.
- Voices of another corpus than these are named rightly far less often than new people of these. Such encoders that
  learnt from two of the corpora were right (UAR) on 0.55 of EmoDB's voices, 0.42 of RAVDESS's and 0.31 of nEMO's, the
  third: on other voices, as in life, let the face decide, or adapt the model.
- Where nobody acts it is worse: of 400 moments of Urdu talk shows (URDU, Latif et al. 2018; four emotions, 29 speakers,
  a few of whom have most of them) the voice of emotion-av-20 is right (UAR) on 0.48 (0.33 to 0.57), in 66 % of what it
  calls certain, with an expected calibration error of 0.14: its confidence in such voices is too high. Of 2474 acted
  sentences of 65 speakers of Amharic (ASED, Retta et al. 2022; five emotions) on 0.55 (0.51 to 0.59), in 65 % of what
  it calls certain, with an error of 0.13.
{to_try if others else ""}- EmoDB has no surprise: a voice that sounds like EmoDB is hardly ever called surprised.
- A mouth that talks below raised brows is often taken for surprise: of eighteen films of people who talk, most of them
  calmly, emotion-av-20 calls 54 % of the moments neutral and certain, 16 % surprised and certain, and 22 % uncertain.
- Posed faces of a laboratory are named rightly less often, too: of 927 of CK+ (Lucey et al. 2010; 106 people, six
  emotions without neutral) the face of emotion-av-20, alone, is right (UAR) on 0.62 (0.59 to 0.66), in 76 % of what it
  calls certain. It sees happiness and surprise, takes most of the anger for neutral and most of the fear for sadness.
- Of the pictures of PublicTest 208 (6 %) are nearly those of the training part, in another crop or contrast
  (correlation of 0.95 and more at 24 pixels), as in all published figures on FER2013. Without them emotion-av-20 is
  right on 0.845 by the FER+ majority instead of 0.847, and its head of FER2013 on 0.700 instead of 0.707.
- Faces come from a web search: disgust and fear are rare among them and their recall is low; FER2013 is not
  balanced in age, origin or gender, and no figure per group was made.
- Pairs of face and voice are synthetic: the figures on them say nothing about how face and voice of one
  person go together.
- Not for decisions about people: hiring, teaching, health, safety, law. It may steer how a robot behaves, not
  what it concludes."""


def _gain(protocol: str, figure: dict) -> str:
    low, high = figure["uar_ci95"]
    return f"| {protocol} | {low:+.3f} to {high:+.3f} | {figure['p_clips']:.2g} | {figure['p_speakers']:.2g} |"


def _row(title: str, figure: dict) -> str:
    low, high = figure["ci95"]
    return f"| {title} | {figure['value']:.3f} | {low:.3f} to {high:.3f} | {figure['n']} |"
