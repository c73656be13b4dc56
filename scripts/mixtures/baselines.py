"""Mean average precisions of simple models on configs/mixtures.py, from the same log-mel spectrograms.

python -m scripts.mixtures.baselines --data_dir DIR

DIR is what scripts.prepare_audioset made. Features: of every band the mean and the standard deviation over the frames
of the whole clip. It takes two minutes on one core.
"""

import numpy as np
from absl import flags
from jaxtyping import Bool, Float64

from configs import mixtures
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.settings.config import Config, parse
from perceiver_jax.tasks.multi_label.ranking import rankings

flags.DEFINE(command.PATH, "data_dir", None, "Directory that scripts.prepare_audioset made.")


def main() -> None:
    values = mixtures.get_config()
    values.data.data_dir = command.require("data_dir")
    config = parse(values)
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise Failure(Code.DATA, "the baselines need the package scikit-learn", hint="pip install -e .[examples]") from None
    (x, y), (test_x, test_y) = (features(config, split) for split in ("train", "test"))
    rows = []
    for name, columns in (("means", slice(x.shape[1] // 2)), ("means and deviations", slice(None))):
        linear = OneVsRestClassifier(LogisticRegression(max_iter=1000))
        model = make_pipeline(StandardScaler(), linear).fit(x[:, columns], y)
        found = rankings(model.predict_proba(test_x[:, columns]), test_y).mean_average_precision
        rows.append((f"logistic regression, {name} of each band", f"{found:.3f}"))
    rows.append(("by chance", f"{rankings(np.zeros(test_y.shape), test_y).mean_average_precision:.3f}"))
    say(table(["model", "test mean_average_precision"], rows))


def features(config: Config, split: str) -> tuple[Float64[np.ndarray, "clips features"], Bool[np.ndarray, "clips classes"]]:
    """Of every clip of a split what is known of each band, and which classes it has."""
    source = config.source()
    clips, classes, ((name, modality),) = source.load(split), source.contents().classes, config.modalities.items()
    found, labels = [], np.zeros((len(clips), len(classes)), bool)
    with Progress(len(clips), 0) as progress:
        for i in range(len(clips)):
            clip = clips[i]
            recording = clip.inputs[name]
            spectrogram = modality.spectrogram(recording.sound(0.0, recording.seconds, modality.stream.sample_rate))
            found.append(np.concatenate([spectrogram.mean(axis=0), spectrogram.std(axis=0)]))
            labels[i, list(clip.labels)] = True
            progress.update(i + 1, {})
    return np.array(found, np.float64), labels


if __name__ == "__main__":
    command.run(main)
