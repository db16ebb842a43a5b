"""The readers of the corpora, on small generated files in each published layout."""

import math
import unicodedata
import zipfile

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from emotion_training.clip import Clip
from emotion_training.corpora import CORPORA, CorpusError, read_corpus
from emotion_training.face_images import load_images


def make_files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"media")


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


# RAVDESS


@pytest.fixture
def ravdess(tmp_path):
    make_files(
        tmp_path,
        "Actor_02/01-01-05-02-01-01-02.mp4",
        "Actor_02/02-01-05-02-01-01-02.mp4",
        "Actor_02/03-01-05-02-01-01-02.wav",
        "Actor_01/02-01-02-01-01-01-01.mp4",
        "Actor_01/03-01-06-01-02-02-01.flac",
        "Actor_01/03-02-03-01-01-01-01.wav",
        "Actor_01/notes.txt",
    )
    return tmp_path


def test_ravdess_joins_the_files_of_an_utterance_and_leaves_songs_out(ravdess):
    clips = read_corpus("ravdess", ravdess)
    assert [clip.clip_id for clip in clips] == ["01-02-01-01-01-01", "01-05-02-01-01-02", "01-06-01-02-02-01"]


def test_ravdess_knows_label_speaker_and_intensity_from_the_name(ravdess):
    clips = {clip.clip_id: clip for clip in read_corpus("ravdess", ravdess)}
    angry = clips["01-05-02-01-01-02"]
    assert (angry.label, angry.speaker_id, angry.intensity) == ("angry", "ravdess-02", "strong")
    assert angry.video.name == "01-01-05-02-01-01-02.mp4" and angry.audio.name == "03-01-05-02-01-01-02.wav"
    calm = clips["01-02-01-01-01-01"]
    assert calm.label == "calm" and calm.audio is None and calm.video.name.startswith("02-")
    assert clips["01-06-01-02-02-01"].video is None


def test_ravdess_has_seven_classes_when_asked(ravdess):
    assert [clip.label for clip in read_corpus("ravdess", ravdess, classes="7")] == ["neutral", "angry", "scared"]
    with pytest.raises(CorpusError, match="classes is 6"):
        read_corpus("ravdess", ravdess, classes=6)


def test_ravdess_takes_the_face_features_of_the_same_utterance(ravdess, tmp_path):
    table = write(tmp_path / "au.csv", "clip,au_00,au_01", "01-01-05-02-01-01-02,0.5,1", "01-01-08-02-01-01-09,9,9")
    features = [clip.face_features for clip in read_corpus("ravdess", ravdess, face_features=str(table))]
    assert features == [None, (0.5, 1.0), None]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["clip,au", "01-01-05-02-01-01-02,low"], r"au.csv:2: au is 'low'; expected a number"),
        (["clip,au", "01-01-05-02-01-01-02,nan"], r"au.csv:2: au is nan; expected a finite number"),
        (["clip,au", "01-01-05-02-01-01-02,"], r"au.csv:2: au is empty"),
        (["clip,au", "a,1", "a,2"], r"au.csv:3: clip a stands in an earlier row"),
        (["name,au", "a,1"], r"au.csv:1: the columns \['clip'\] are missing"),
        (["clip,au", "a,1,2"], r"au.csv:2: 3 cells; expected 2"),
        (["clip,au", "01-01-08-02-01-01-09,1"], r"au.csv has no row for any clip"),
    ],
)
def test_face_features_that_cannot_be_used_are_named_with_their_line(ravdess, tmp_path, lines, message):
    with pytest.raises(CorpusError, match=message):
        read_corpus("ravdess", ravdess, face_features=write(tmp_path / "au.csv", *lines))


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01.wav", "01-01-05-03-01-01-01.mp4", "a.wav"])
def test_a_name_that_is_not_of_ravdess_is_refused(tmp_path, name):
    make_files(tmp_path, f"Actor_01/{name}")
    with pytest.raises(CorpusError, match=f"{name} is no RAVDESS name"):
        read_corpus("ravdess", tmp_path)


# CREMA-D

TABULATED = '"","A","D","F","H","N","S","fileName","numResponses"'
RESPONSES = '"","localid","ans","queryType","clipName","respEmo","respLevel"'


@pytest.fixture
def crema_d(tmp_path):
    make_files(
        tmp_path,
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "AudioWAV/1002_IEO_HAP_HI.wav",
        "VideoFlash/1040_ITH_SAD_X.flv",
    )
    return tmp_path


def test_crema_d_joins_sound_and_pictures(crema_d):
    angry, happy, sad = read_corpus("crema_d", crema_d)
    assert (angry.clip_id, angry.label, angry.speaker_id) == ("1001_DFA_ANG_XX", "angry", "crema_d-1001")
    assert angry.video.suffix == ".flv" and angry.audio.suffix == ".wav" and angry.votes is None
    assert (happy.intensity, happy.video) == ("high", None)
    assert (sad.intensity, sad.audio, sad.label) == (None, None, "sad")


def test_crema_d_takes_the_tabulated_votes_of_the_multimodal_ratings(crema_d):
    write(
        crema_d / "processedResults" / "tabulatedVotes.csv",
        TABULATED,
        '"100001",9,0,0,0,0,0,"1001_DFA_ANG_XX",9',
        '"200001",0,9,0,0,0,0,"1001_DFA_ANG_XX",9',
        '"300001",6,1,0,0,2,0,"1001_DFA_ANG_XX",9',
    )
    angry, happy, _ = read_corpus("crema_d", crema_d)
    assert {label: count for label, count in angry.votes.items() if count} == {
        "angry": 6.0,
        "disgusted": 1.0,
        "neutral": 2.0,
    }
    assert happy.votes is None


def test_crema_d_counts_the_responses_where_they_are_not_tabulated(crema_d):
    write(
        crema_d / "finishedResponses.csv",
        RESPONSES,
        "1,1,A_80,3,1001_DFA_ANG_XX,A,80",
        "2,2,A_70,3,1001_DFA_ANG_XX,A,70",
        "3,3,N_70,3,1001_DFA_ANG_XX,N,70",
        "4,4,S_70,1,1001_DFA_ANG_XX,S,70",
    )
    assert read_corpus("crema_d", crema_d)[0].votes == {"angry": 2.0, "neutral": 1.0}


def test_crema_d_names_the_line_of_an_unknown_vote(crema_d):
    write(crema_d / "finishedResponses.csv", RESPONSES, "1,1,X_80,3,1001_DFA_ANG_XX,X,80")
    with pytest.raises(CorpusError, match=r"finishedResponses.csv:2: respEmo is 'X'"):
        read_corpus("crema_d", crema_d)


def test_a_votes_table_that_git_lfs_has_not_fetched_is_named(crema_d):
    write(crema_d / "processedResults" / "tabulatedVotes.csv", "version https://git-lfs.github.com/spec/v1")
    with pytest.raises(CorpusError, match=r"tabulatedVotes.csv:1: the columns"):
        read_corpus("crema_d", crema_d)


# SAVEE, EmoDB, nEMO, ASED and URDU


def test_savee_joins_its_two_parts(tmp_path):
    make_files(
        tmp_path,
        "AudioData/DC/sa01.wav",
        "AudioVisualClip/DC/sa1.avi",
        "AudioData/KL/n30.wav",
        "AudioVisualClip/JE/su12.avi",
        "AudioData/Info.txt",
    )
    found = [
        (clip.clip_id, clip.label, clip.speaker_id, bool(clip.video), bool(clip.audio))
        for clip in read_corpus("savee", tmp_path)
    ]
    assert found == [
        ("DC-sa01", "sad", "savee-DC", True, True),
        ("JE-su12", "surprised", "savee-JE", True, False),
        ("KL-n30", "neutral", "savee-KL", False, True),
    ]


def test_a_name_that_is_not_of_savee_is_refused(tmp_path):
    make_files(tmp_path, "AudioData/DC/x01.wav")
    with pytest.raises(CorpusError, match=r"x01.wav is no SAVEE name"):
        read_corpus("savee", tmp_path)


@pytest.mark.parametrize("folder", ["", "wav/"])
def test_emodb_leaves_boredom_out_unless_asked(tmp_path, folder):
    make_files(tmp_path, *(f"{folder}{name}.wav" for name in ("03a01Fa", "08a02Lb", "16b10Wb")))
    assert [clip.label for clip in read_corpus("emodb", tmp_path)] == ["happy", "angry"]
    bored = read_corpus("emodb", tmp_path, boredom="true")[1]
    assert (bored.label, bored.speaker_id, bored.clip_id) == ("bored", "emodb-08", "08a02Lb")


def test_nemo_is_read_by_the_names_of_its_files(tmp_path):
    make_files(tmp_path, *(f"samples/{name}.wav" for name in ("WR0_surprised_64", "EB0_fear_1")))
    assert [(clip.clip_id, clip.speaker_id, clip.label) for clip in read_corpus("nemo", tmp_path)] == [
        ("EB0_fear_1", "nemo-EB0", "scared"),
        ("WR0_surprised_64", "nemo-WR0", "surprised"),
    ]


def test_ased_is_read_by_the_names_of_its_files(tmp_path):
    make_files(tmp_path, "05Angry/a5-03-01-02-50.wav", "04Sad/S4-04-02-01-29.wav", "README.md")
    assert [(clip.clip_id, clip.speaker_id, clip.label) for clip in read_corpus("ased", tmp_path)] == [
        ("S4-04-02-01-29", "ased-29", "sad"),
        ("a5-03-01-02-50", "ased-50", "angry"),
    ]


def test_urdu_is_read_by_the_names_of_its_files(tmp_path):
    make_files(tmp_path, "Sad/SM25_F3_S031.wav", "Happy/SF6_F1_H023.wav")
    assert [(clip.clip_id, clip.speaker_id, clip.label) for clip in read_corpus("urdu", tmp_path)] == [
        ("SF6_F1_H023", "urdu-SF6", "happy"),
        ("SM25_F3_S031", "urdu-SM25", "sad"),
    ]


@pytest.mark.parametrize(
    "corpus, name, message",
    [
        ("nemo", "samples/EB0_disgust_1", "EB0_disgust_1.wav is no nEMO name"),
        ("nemo", None, r"holds no samples/\*.wav"),
        ("ased", "05Angry/a4-03-01-02-50", "a4-03-01-02-50.wav is no ASED name.* with an emotion of n1, f2, h3, s4"),
        ("ased", None, r"holds no \*/\*.wav, such as 05Angry"),
        ("urdu", "Sad/SM25_F3_X031", "SM25_F3_X031.wav is no URDU name.* with an emotion of N, H, S, A"),
        ("urdu", None, r"holds no \*/\*.wav"),
    ],
)
def test_what_is_not_of_a_corpus_of_voices_is_refused(tmp_path, corpus, name, message):
    if name:
        make_files(tmp_path, f"{name}.wav")
    with pytest.raises(CorpusError, match=message):
        read_corpus(corpus, tmp_path)


# FER2013

FERPLUS = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def png(value, size_px=48):
    return cv2.imencode(".png", np.full((size_px, size_px), value, np.uint8))[1].tobytes()


PICTURES = {
    "train/happy/fer0000001.png": 10,
    "train/fear/fer0000000.png": 20,
    "valid/sad/fer0000002.png": 30,
}


@pytest.fixture(params=["folder", "zip", "fer2013.csv", "icml_face_data.csv"])
def fer2013(request, tmp_path):
    """The same three pictures in every form."""
    if request.param == "folder":
        for name, value in PICTURES.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(png(value))
    elif request.param == "zip":
        with zipfile.ZipFile(tmp_path / "fer2013.zip", "w") as archive:
            for name, value in PICTURES.items():
                archive.writestr(name, png(value))
    else:
        rows = [("2", "Training", 20), ("3", "Training", 10), ("4", "PublicTest", 30)]
        rows = [(emotion, usage, " ".join([str(value)] * 48 * 48)) for emotion, usage, value in rows]
        if request.param == "fer2013.csv":
            lines = ["emotion,pixels,Usage", *(f"{emotion},{pixels},{usage}" for emotion, usage, pixels in rows)]
        else:
            lines = ["emotion, Usage, pixels", *(f"{emotion},{usage},{pixels}" for emotion, usage, pixels in rows)]
        write(tmp_path / request.param, *lines)
    return tmp_path


def test_a_picture_is_read_in_colour_for_every_clip_of_it_and_made_smaller_by_averages(tmp_path):
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[::2, :, 0] = 200  # red
    cv2.imwrite(str(tmp_path / "stripes.png"), stripes[..., ::-1])
    clips = [Clip(name, "stripes", "somebody", image=tmp_path / "stripes.png") for name in ("one", "two")]
    images = load_images(clips, 48)
    assert images.shape == (2, 48, 48, 3) and (images == [100, 0, 0]).all()


def test_fer2013_gives_the_same_clips_and_pixels_in_every_form(fer2013):
    clips = read_corpus("fer2013", fer2013)
    assert [(clip.clip_id, clip.label) for clip in clips] == [
        ("fer0000000", "scared"),
        ("fer0000001", "happy"),
        ("fer0000002", "sad"),
    ]
    images = load_images(clips[::-1], 48)
    assert images.shape == (3, 48, 48, 3) and images.dtype == np.uint8
    assert [set(np.unique(image)) for image in images] == [{30}, {10}, {20}]
    assert len({clip.speaker_id for clip in clips}) == 3


def test_fer2013_reads_one_part(fer2013):
    assert [clip.label for clip in read_corpus("fer2013", fer2013, part="valid")] == ["sad"]
    with pytest.raises(CorpusError, match="part is 'dev'"):
        read_corpus("fer2013", fer2013, part="dev")


def test_ferplus_votes_join_and_pictures_without_votes_are_left_out(fer2013, tmp_path):
    votes = write(
        tmp_path / "fer2013new.csv",
        FERPLUS,
        "Training,fer0000000.png,1,0,2,0,0,0,5,1,1,0",
        "Training,fer0000001.png,0,0,0,0,0,0,0,4,2,4",
        "PublicTest,,0,0,0,0,0,0,0,0,0,10",
        "PublicTest,fer0000002.png,0,0,0,10,0,0,0,0,0,0",
    )
    clips = read_corpus("fer2013", fer2013, votes=votes)
    assert [clip.clip_id for clip in clips] == ["fer0000000", "fer0000002"]
    assert {label: count for label, count in clips[0].votes.items() if count} == {
        "neutral": 1.0,
        "surprised": 2.0,
        "scared": 5.0,
    }


def test_pictures_of_another_size_are_scaled(tmp_path):
    make_files(tmp_path, "train/happy/a.png")
    (tmp_path / "train/happy/a.png").write_bytes(png(7, size_px=96))
    assert (load_images(read_corpus("fer2013", tmp_path), 48) == 7).all()


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path):
    make_files(tmp_path, "train/happy/a.png")
    with pytest.raises(CorpusError, match=r"a.png is no picture"):
        load_images(read_corpus("fer2013", tmp_path), 48)


def test_a_picture_in_two_classes_is_refused(tmp_path):
    make_files(tmp_path, "train/happy/a.png", "train/sad/a.png")
    with pytest.raises(CorpusError, match=r"have the same name"):
        read_corpus("fer2013", tmp_path)


def test_an_unknown_emotion_of_the_table_is_named_with_its_line(tmp_path):
    table = write(tmp_path / "fer2013.csv", "emotion,pixels,Usage", "7,0 0,Training")
    with pytest.raises(CorpusError, match=r"fer2013.csv:2: emotion is '7'"):
        read_corpus("fer2013", table)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ("0 0", "2 pixels; expected 48x48"),
        ("foo" + 2303 * " 7", ".*'foo'; expected whole numbers from 0 to 255"),
        ("300" + 2303 * " 7", "pixels are 7 to 300; expected whole numbers from 0 to 255"),
    ],
)
def test_a_row_of_the_table_with_wrong_pixels_is_named_with_its_line(tmp_path, pixels, message):
    table = write(tmp_path / "fer2013.csv", "emotion,pixels,Usage", f"3,{pixels},Training")
    with pytest.raises(CorpusError, match=f"fer2013.csv:2: {message}"):
        load_images(read_corpus("fer2013", table), 48)


# CG-MER


@pytest.fixture
def cg_mer(tmp_path):
    make_files(tmp_path, *(f"media/{name}" for name in ("a.mp4", "a.wav", "b.mp4", "b.wav")))
    write(
        tmp_path / "tracks.csv",
        "session_id,participant_id,video,audio",
        "01,anne,media/a.mp4,media/a.wav",
        "01,luc,media/b.mp4,media/b.wav",
    )
    write(
        tmp_path / "segments.csv",
        "session_id,participant_id,start_s,end_s,label,valence",
        "01,luc,12.5,15.25,happy,0.5",
        "01,anne,3,4.5,,",
    )
    return tmp_path


def test_cg_mer_segments_are_clips_of_their_participants_tracks(cg_mer):
    anne, luc = read_corpus("cg_mer", cg_mer)
    assert (anne.clip_id, anne.speaker_id, anne.session_id) == ("01-anne-00003000", "cg_mer-anne", "cg_mer-01")
    assert anne.label is None and anne.video == cg_mer / "media" / "a.mp4" and anne.audio.name == "a.wav"
    assert (luc.start_s, luc.end_s, luc.label, luc.valence) == (12.5, 15.25, "happy", 0.5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("02,luc,1,2,happy,0", r"segments.csv:4: participant luc of session 02 has no row in tracks"),
        ("01,luc,2,1,happy,0", r"segments.csv:4: end_s is 1; expected more than start_s, which is 2"),
        ("01,luc,1,2,joyful,0", r"segments.csv:4: label is 'joyful'; expected one of neutral"),
        ("01,luc,1,2,happy,3", r"segments.csv:4: valence is 3; expected a number in \[-1, 1\]"),
        ("01,anne,3,9,happy,0", r"segments.csv:4: the segment begins like the one in line 3"),
    ],
)
def test_a_segment_of_cg_mer_that_cannot_be_used_is_named_with_its_line(cg_mer, row, message):
    with (cg_mer / "segments.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(CorpusError, match=message):
        read_corpus("cg_mer", cg_mer)


def test_a_table_of_cg_mer_without_a_row_is_named(cg_mer):
    write(cg_mer / "segments.csv", "session_id,participant_id,start_s,end_s,label")
    with pytest.raises(CorpusError, match=r"segments.csv has no row; expected one or more below the header"):
        read_corpus("cg_mer", cg_mer)


def test_a_mistyped_column_of_cg_mer_is_named(cg_mer):
    write(cg_mer / "segments.csv", "session_id,participant_id,start_s,end_s,label,arrousal", "01,anne,3,4,happy,0.5")
    with pytest.raises(CorpusError, match=r"segments.csv:1: the columns \['arrousal'\] are unknown; .*, arousal"):
        read_corpus("cg_mer", cg_mer)


def test_a_session_of_cg_mer_has_two_participants(cg_mer):
    with (cg_mer / "tracks.csv").open("a") as file:
        file.write("01,eva,media/a.mp4,media/a.wav\n")
    with pytest.raises(CorpusError, match=r"session 01 has 3 participants; expected 2"):
        read_corpus("cg_mer", cg_mer)


# manifest

MANIFEST = "clip_id,speaker_id,session_id,label,valence,video,start_s,end_s,vote_happy,vote_sad,feature_smile"


@pytest.fixture
def recordings(tmp_path):
    make_files(tmp_path, "a.mp4")
    return tmp_path


def test_a_manifest_says_all_that_a_clip_knows(recordings):
    write(recordings / "manifest.csv", MANIFEST, "two,luc,,,,a.mp4,,,,,", "one,anne,s1,happy,0.5,a.mp4,1,2.5,3,1,0.25")
    one, two = read_corpus("manifest", recordings, corpus="cafe")
    assert (one.speaker_id, one.session_id, one.label, one.valence) == ("cafe-anne", "cafe-s1", "happy", 0.5)
    assert (one.start_s, one.end_s, one.votes, one.face_features) == (1.0, 2.5, {"happy": 3.0, "sad": 1.0}, (0.25,))
    assert one.video == recordings / "a.mp4"
    assert (two.session_id, two.label, two.votes, two.face_features, two.end_s) == (None,) * 5


def test_a_column_without_a_name_does_no_harm(recordings):
    write(recordings / "manifest.csv", "clip_id,speaker_id,video,,", "one,anne,a.mp4,,a remark")
    assert [clip.clip_id for clip in read_corpus("manifest", recordings)] == ["one"]


def test_a_manifest_in_parquet_gives_the_same_clips(recordings):
    write(recordings / "manifest.csv", MANIFEST, "one,anne,s1,happy,0.5,a.mp4,1,2.5,3,1,0.25")
    expected = read_corpus("manifest", recordings / "manifest.csv")
    row = {"clip_id": "one", "speaker_id": " anne ", "session_id": "s1", "label": "happy", "valence": 0.5}
    row |= {"video": "a.mp4", "start_s": 1.0, "end_s": 2.5, "vote_happy": 3, "vote_sad": 1, "feature_smile": 0.25}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), recordings / "table.parquet")
    assert read_corpus("manifest", recordings / "table.parquet") == expected


def test_a_missing_number_of_a_table_in_parquet_is_absent(recordings):
    rows = [{"clip_id": name, "speaker_id": "anne", "video": "a.mp4", "valence": None} for name in ("one", "two")]
    rows[1]["valence"] = math.nan
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), recordings / "table.parquet")
    assert [clip.valence for clip in read_corpus("manifest", recordings / "table.parquet")] == [None, None]


@pytest.mark.parametrize("form_of_table", ["NFC", "NFD"])
@pytest.mark.parametrize("form_of_file", ["NFC", "NFD"])
def test_a_file_is_found_however_its_accents_are_written(tmp_path, form_of_table, form_of_file):
    file = tmp_path / unicodedata.normalize(form_of_file, "été.wav")
    file.touch()
    name = unicodedata.normalize(form_of_table, "été.wav")
    write(tmp_path / "manifest.csv", "clip_id,speaker_id,audio", f"one,anne,{name}")
    (clip,) = read_corpus("manifest", tmp_path)
    assert clip.audio == file


def test_a_person_is_one_however_the_accents_of_the_name_are_written(tmp_path):
    (tmp_path / "a.wav").touch()
    spellings = [unicodedata.normalize(form, "José") for form in ("NFC", "NFD")]
    rows = [f"{number},{name},a.wav" for number, name in enumerate(spellings)]
    write(tmp_path / "manifest.csv", "clip_id,speaker_id,audio", *rows)
    assert len({clip.speaker_id for clip in read_corpus("manifest", tmp_path)}) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("one,,,,,a.mp4,,,,,", r"manifest.csv:2: speaker_id is empty"),
        ("one,anne,,glad,,a.mp4,,,,,", r"manifest.csv:2: label is 'glad'; expected one of neutral"),
        ("one,anne,,,1.5,a.mp4,,,,,", r"manifest.csv:2: valence is 1.5; expected a number in \[-1, 1\]"),
        ('one,anne,,,"0,5",a.mp4,,,,,', r"manifest.csv:2: valence is '0,5'; expected a number with a decimal point$"),
        (f"one,anne,,,,{'b' * 300},,,,,", r"manifest.csv:2: video is b+, which cannot be read \(File name too long\)"),
        ("one,anne,,,,b.mp4,,,,,", r"manifest.csv:2: video is b.mp4, but .*b.mp4 does not exist"),
        ("one,anne,,,,,,,,,", r"manifest.csv:2: video, audio and image are empty"),
        ("one,anne,,,,a.mp4,3,2,,,", r"manifest.csv:2: end_s is 2; expected more than start_s"),
        ("one,anne,,,,a.mp4,-1,2,,,", r"manifest.csv:2: start_s is -1; expected 0 or more"),
        ("one,anne,,,,a.mp4,,,0,0,", r"manifest.csv:2: all votes are 0"),
        ("one,anne,,,,a.mp4,,,-1,,", r"manifest.csv:2: vote_happy is -1; expected 0 or more"),
    ],
)
def test_a_row_of_a_manifest_that_cannot_be_used_is_named(recordings, row, message):
    write(recordings / "manifest.csv", MANIFEST, row)
    with pytest.raises(CorpusError, match=message):
        read_corpus("manifest", recordings)


def test_all_problems_of_a_manifest_are_named_at_once(recordings):
    write(recordings / "manifest.csv", "clip_id,speaker_id,video,label", "a,x,no.mp4,", "a,x,a.mp4,glad", "b,,a.mp4,")
    with pytest.raises(CorpusError) as caught:
        read_corpus("manifest", recordings)
    lines = str(caught.value).splitlines()
    assert [line.split("manifest.csv")[1][:3] for line in lines] == [":2:", ":3:", ":4:"]
    assert "clip_id a stands already in line 2" in lines[1]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("clip_id,video", r"manifest.csv:1: the columns \['speaker_id'\] are missing"),
        ("clip_id,speaker_id,emotion", r"manifest.csv:1: the columns \['emotion'\] are unknown"),
        ("clip_id,speaker_id,label,label", r"manifest.csv:1: the column label stands twice; expected each once, so"),
        ("clip_id;speaker_id;label", r"manifest.csv:1: .* are separated by semicolons; expected commas, so save"),
    ],
)
def test_a_manifest_with_wrong_columns_is_refused(recordings, header, message):
    write(recordings / "manifest.csv", header, ",".join("a" * len(header.split(","))))
    with pytest.raises(CorpusError, match=message):
        read_corpus("manifest", recordings)


def test_a_speaker_of_two_spellings_is_not_taken_for_two_people(recordings):
    write(recordings / "manifest.csv", "clip_id,speaker_id,video", "a,Anna,a.mp4", "b,anna,a.mp4")
    with pytest.raises(CorpusError, match="has the speakers manifest-Anna and manifest-anna; expected one spelling"):
        read_corpus("manifest", recordings)


# all of them


@pytest.mark.parametrize("name", CORPORA)
def test_an_empty_folder_is_named(tmp_path, name):
    with pytest.raises(CorpusError, match=str(tmp_path)):
        read_corpus(name, tmp_path)


def test_an_unknown_corpus_folder_or_option_is_named(tmp_path):
    with pytest.raises(CorpusError, match="corpus is 'iemocap'; expected one of ravdess"):
        read_corpus("iemocap", tmp_path)
    with pytest.raises(CorpusError, match=r"nowhere does not exist"):
        read_corpus("ravdess", tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="emodb has no option 'classes'; expected one of boredom"):
        read_corpus("emodb", tmp_path, classes=7)
    with pytest.raises(CorpusError, match="emodb has no option 'root'; expected one of boredom"):
        read_corpus("emodb", tmp_path, root="elsewhere")
    with pytest.raises(CorpusError, match="boredom is 'maybe'; expected true or false"):
        read_corpus("emodb", tmp_path, boredom="maybe")
