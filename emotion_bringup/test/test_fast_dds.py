"""The profiles for Fast DDS, without launch."""

from xml.etree import ElementTree

from emotion_bringup.fast_dds import FAST_DDS_PROFILES, fast_dds_environment


def test_fast_dds_profile_is_the_default_of_every_participant(monkeypatch):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    root = ElementTree.parse(fast_dds_environment()[FAST_DDS_PROFILES]).getroot()
    participants = [element for element in root if element.tag.endswith("participant")]
    assert [participant.get("is_default_profile") for participant in participants] == ["true"]


def test_profiles_of_the_user_prevail(monkeypatch):
    monkeypatch.setenv(FAST_DDS_PROFILES, "mine.xml")
    assert fast_dds_environment() == {}
