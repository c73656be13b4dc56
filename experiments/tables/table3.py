"""AudioSet: sound, film, and both."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table


def others(name: str, source: str, **scores: float) -> tuple[Row, ...]:
    """The rows of somebody else's model."""
    columns = {"audio": "audio", "video": "video", "both": "A+V"}
    return tuple(Row(name, None, score, column=columns[of], note=source) for of, score in scores.items())


BOTH = Score("digits and notes", "A+V")
CLAIMS = (
    Claim(
        "Raw sound does as well as a spectrogram",
        Score("mixtures, raw audio", "audio"),
        Score("mixtures, mel spectrogram", "audio"),
        alike=True,
    ),
    Claim("Sound and film together are ahead of sound", BOTH, Score("digits and notes", "audio")),
    Claim("Sound and film together are ahead of film", BOTH, Score("digits and notes", "video")),
    Claim(
        "Leaving the film out of 30 % of examples helps fusion",
        Score("digits and notes, video dropout alone", "A+V"),
        Score("digits and notes, no dropout", "A+V"),
    ),
)

TABLE = Table(
    page=8,
    full=Study(
        "AudioSet, mean average precision on the evaluation set in percent",
        (
            *others("Benchmark", "Gemmeke et al. 2017", audio=31.4),
            *others("Attention", "Kong et al. 2018", audio=32.7),
            *others("Multi-level Attention", "Yu et al. 2018", audio=36.0),
            *others("ResNet-50", "Ford et al. 2019", audio=38.0),
            *others("CNN-14", "Kong et al. 2020", audio=43.1),
            *others("CNN-14 (no balancing & no mixup)", "Kong et al. 2020", audio=37.5),
            *others("G-blend", "Wang et al. 2020c", audio=32.4, video=18.8, both=41.8),
            *others("Attention AV-fusion", "Fayek & Kumar 2020", audio=38.4, video=25.7, both=46.2),
            Row("Perceiver (raw audio)", Point("audioset:raw_audio"), 38.3, column="audio", note="section 4.2 says 38.4"),
            Row("Perceiver (raw audio)", Point("audioset:video"), 25.8, column="video"),
            Row("Perceiver (raw audio)", Point("audioset:raw_audio_video"), 43.5, column="A+V"),
            Row("Perceiver (mel spectrogram)", Point("audioset:mel_audio"), 38.4, column="audio"),
            Row("Perceiver (mel spectrogram)", Point("audioset:video"), 25.8, column="video"),
            Row("Perceiver (mel spectrogram)", Point("audioset:mel_audio_video"), 43.2, column="A+V"),
            Row("Perceiver (mel spectrogram - tuned)", Point("audioset:mel_audio_video_tuned"), 44.2, column="A+V"),
            Row(
                "Perceiver (raw audio), no video dropout",
                Point("audioset:raw_audio_video_no_dropout"),
                39.7,
                column="A+V",
                note="of section 4.2, not of the table",
            ),
            Row(
                "Perceiver (mel spectrogram), no video dropout",
                Point("audioset:mel_audio_video_no_dropout"),
                39.9,
                column="A+V",
                note="of section 4.2, not of the table",
            ),
        ),
    ),
    small=Study(
        "mixtures of sounds, mean average precision, and digits with notes, test accuracy, both in percent",
        (
            Row("mixtures, raw audio", small.sounds("mixtures:raw"), column="audio"),
            Row("mixtures, mel spectrogram", small.sounds("mixtures"), column="audio"),
            Row("digits and notes", small.digits_and_notes(small.SOUND_ALONE), column="audio"),
            Row("digits and notes", small.digits_and_notes(small.FILM_ALONE), column="video"),
            Row("digits and notes", small.digits_and_notes(), column="A+V"),
            Row(
                "digits and notes, video dropout alone",
                small.digits_and_notes({"views.stream_dropout": {"video": 0.3}}),
                column="A+V",
            ),
            Row("digits and notes, no dropout", small.digits_and_notes({"views.stream_dropout": {}}), column="A+V"),
        ),
        seeds=small.SEEDS,
        claims=CLAIMS,
        note="mixtures in percent of mean average precision, digits and notes in percent of accuracy: not to be compared",
    ),
)
