"""Settings of training stages. ``kind`` selects how a stage trains; the stages of an experiment run in order."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from shapecnn.settings.base import Settings

_NAME = r"^[A-Za-z][\w-]*$"


class Augmentation(Settings):
    """Settings of data augmentation: random changes of a shape in each epoch, the same for all its views or grids."""

    later: ClassVar[frozenset[str]] = frozenset({"stretch"})

    flip: bool = False  # mirror left and right with probability 0.5
    shift: int = Field(0, ge=0, le=64)  # largest random shift along each axis, in pixels or cells
    turn: bool = False  # grids only: rotate by a random number of quarter turns about z
    stretch: float = Field(0.0, ge=0, le=1)  # scale each axis by a random factor of at most 1 + stretch or its inverse


class GradientStage(Settings):
    """Settings of a training stage by stochastic gradient descent."""

    later: ClassVar[frozenset[str]] = frozenset({"loss"})

    kind: Literal["gradient"] = "gradient"
    name: str = Field(pattern=_NAME)  # name of the stage, for --set and for messages
    pooled: bool = True  # true: an example is a shape with all its views; false: an example is a single view
    train_from: str | None = None  # first network part to train: null for all, head for the layers after pooling
    batch_norm: Literal["train", "frozen"] = "train"  # frozen: batch normalization keeps the pretrained statistics
    epochs: int = Field(ge=1)  # number of epochs
    batch: int = Field(32, ge=2)  # shapes in a batch, or views if pooled is false
    loss: Literal["softmax", "sigmoid", "squared"] = "softmax"  # sigmoid: a question for each class; squared: a target
    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "adadelta"] = "adamw"
    learning_rate: float = Field(gt=0)  # highest learning rate of the schedule
    head_rate: float = Field(1.0, gt=0)  # learning rate of the classifier, relative to learning_rate
    momentum: float = Field(0.9, ge=0, lt=1)  # for the optimizer sgd only
    weight_decay: float = Field(0.0, ge=0)  # 2λ for an L2 penalty λ Σ w²; adamw shrinks the weights instead
    schedule: Literal["constant", "step", "plateau", "stall", "cosine"] = "cosine"
    warmup: float = Field(0.0, ge=0, le=1)  # fraction of the steps during which the learning rate rises from 0
    step_epochs: int = Field(10, ge=1)  # for schedule step: epochs between two reductions of the learning rate
    patience: int = Field(3, ge=1)  # for schedules plateau and stall: epochs without improvement before a reduction
    factor: float = Field(0.5, gt=0, lt=1)  # for schedules step, plateau and stall: factor of each reduction
    clip: float | None = Field(None, gt=0)  # gradient clipping: largest norm of the gradient
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    balance: bool = False  # repeat the shapes of small classes until all classes are equally large
    early_stopping: int | None = Field(None, ge=1)  # epochs without improvement before the stage ends
    augment: Augmentation = Augmentation()


class LdaStage(Settings):
    """Settings of a training stage that computes the classifier in closed form, by linear discriminant analysis (LDA).

    The logits are the cosines to the class means in the discriminant space, times ``scale``.
    """

    later: ClassVar[frozenset[str]] = frozenset({"profile"})

    kind: Literal["lda"]
    name: str = Field(pattern=_NAME)  # name of the stage, for --set and for messages
    shrinkage: float = Field(0.3, gt=0, le=1)  # shrinkage of the covariance towards a multiple of the identity
    scale: float = Field(12.0, gt=0)  # factor that turns cosines into logits
    profile: bool = False  # networks on grids: read the last two maps by height, not the layer after them


class LogisticStage(Settings):
    """Settings of a training stage that fits the classifier by maximum likelihood: logistic regression on the features.

    It minimizes the mean negative log-likelihood plus λ Σ w², over all training shapes at once. Biases are not
    penalized.
    """

    kind: Literal["logistic"]
    name: str = Field(pattern=_NAME)  # name of the stage, for --set and for messages
    loss: Literal["softmax", "sigmoid"] = "softmax"  # sigmoid: each class is a yes-or-no question of its own
    solver: Literal["lbfgs", "irls", "gradient"] = "lbfgs"  # irls (Newton's method) needs loss sigmoid
    penalty: float = Field(1e-3, ge=0)  # λ of the L2 penalty λ Σ w²; scikit-learn's C is 1 / (2 λ N) for N shapes
    standardize: bool = False  # scale each feature to mean 0 and variance 1 before the fit
    iterations: int = Field(1000, ge=1)  # largest number of iterations of the solver
    tolerance: float = Field(1e-6, gt=0)  # the solver stops when no entry of the gradient is larger

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.solver == "irls" and self.loss != "sigmoid":
            raise ValueError("solver irls needs loss sigmoid; solver lbfgs minimizes both losses")
        return self


class RbmStage(Settings):
    """Settings of unsupervised, layer-wise pre-training: each layer is a restricted Boltzmann machine (RBM).

    Each convolution or fully connected layer of the network learns by contrastive divergence to reconstruct its input.
    Labels are not used. Later stages start from the learned weights.
    """

    kind: Literal["rbm"]
    name: str = Field(pattern=_NAME)  # name of the stage, for --set and for messages
    epochs: int = Field(10, ge=1)  # epochs of each layer
    batch: int = Field(32, ge=1)  # shapes in a batch
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.5, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    steps: int = Field(1, ge=1, le=100)  # Gibbs steps of contrastive divergence (the k of CD-k)
    sparsity: float | None = Field(None, gt=0, lt=1)  # target of the mean activation of hidden units; null: none


Stage = GradientStage | LdaStage | LogisticStage | RbmStage
