"""The names of the emotions in output order, and how each corpus codes them."""

# What the robot's model gives out.
LABELS = ("neutral", "happy", "sad", "angry", "scared", "disgusted", "surprised")

# Every name that a clip may carry; calm is RAVDESS's second baseline, bored is EmoDB's.
KNOWN_LABELS = (*LABELS, "calm", "bored")

# FER2013's folders, and the vote columns of FER+ (its contempt, unknown and NF have no class here).
FER2013_FOLDERS = {
    "neutral": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fear": "scared",
    "disgust": "disgusted",
    "surprise": "surprised",
}
FERPLUS_COLUMNS = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "scared",
    "disgust": "disgusted",
    "surprise": "surprised",
}

# The numbers in the column `emotion` of the official fer2013.csv.
FER2013_NUMBERS = {
    "0": "angry",
    "1": "disgusted",
    "2": "scared",
    "3": "happy",
    "4": "sad",
    "5": "surprised",
    "6": "neutral",
}

# RAVDESS: the third field of a file name; calm (02) joins neutral in the seven classes.
RAVDESS_CODES = {
    "01": "neutral",
    "02": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "scared",
    "07": "disgusted",
    "08": "surprised",
}
RAVDESS_EIGHT_CODES = RAVDESS_CODES | {"02": "calm"}

# CREMA-D: the third field of a file name, and the vote columns of its tables.
CREMA_D_CODES = {
    "NEU": "neutral",
    "HAP": "happy",
    "SAD": "sad",
    "ANG": "angry",
    "FEA": "scared",
    "DIS": "disgusted",
}
CREMA_D_VOTES = {code[0]: label for code, label in CREMA_D_CODES.items()}

# SAVEE: the letters that a file name begins with.
SAVEE_CODES = {
    "n": "neutral",
    "h": "happy",
    "sa": "sad",
    "a": "angry",
    "f": "scared",
    "d": "disgusted",
    "su": "surprised",
}

# EmoDB: the sixth letter of a file name (German initials).
EMODB_CODES = {
    "N": "neutral",
    "F": "happy",
    "T": "sad",
    "W": "angry",
    "A": "scared",
    "E": "disgusted",
    "L": "bored",  # has no class among the seven
}

# nEMO: the second field of a file name.
NEMO_CODES = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "scared",
    "surprised": "surprised",
}

# ASED: the first field of a file name; S4 is that of a single file.
ASED_CODES = {"n1": "neutral", "f2": "scared", "h3": "happy", "s4": "sad", "S4": "sad", "a5": "angry"}

# URDU: the letter in the third field of a file name.
URDU_CODES = {"N": "neutral", "H": "happy", "S": "sad", "A": "angry"}

# Mean pleasure and arousal in [-1, 1] that raters gave to the terms "happy", "sad", "angry", "fearful",
# "disgusted" and "surprised"; neutral is the middle of the scales.
VALENCE_AROUSAL_SOURCE = (
    "Russell, J. A., & Mehrabian, A. (1977). Evidence for a three-factor theory of emotions. Journal of "
    "Research in Personality, 11(3), 273-294. doi:10.1016/0092-6566(77)90037-X. Mean pleasure and arousal of "
    "the terms; neutral is the middle of the scales. Values on the robot are derived from class "
    "probabilities, not measured."
)
VALENCE_AROUSAL = {
    "neutral": (0.0, 0.0),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "angry": (-0.51, 0.59),
    "scared": (-0.64, 0.60),
    "disgusted": (-0.60, 0.35),
    "surprised": (0.40, 0.67),
}


def label_index(label: str) -> int:
    """Position of a label in the outputs; ValueError for a label out of the set."""
    try:
        return LABELS.index(label)
    except ValueError:
        raise ValueError(f"label {label!r} is unknown; expected one of {', '.join(LABELS)}") from None
