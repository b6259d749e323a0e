"""All heads, by the names that `--consensus_type` takes."""

from collections.abc import Mapping

from ops.heads.actionvlad import ActionVLAD
from ops.heads.average import Average, Identity
from ops.heads.head import Head
from ops.heads.trn import TRN, TRNMultiscale
from ops.heads.videograph import VideoGraph

HEADS: dict[str, type[Head]] = {
    "avg": Average,
    "identity": Identity,
    "TRN": TRN,
    "TRNmultiscale": TRNMultiscale,
    "ActionVLAD": ActionVLAD,
    "VideoGraph": VideoGraph,
}


def head_of(name: str, options: Mapping) -> type[Head]:
    """The head of a name, in the form that an option chooses where it has several; ValueError where that is missing."""
    head = HEADS[name]
    if not head.forms:
        return head
    if head.form_option not in options:
        raise ValueError(f"head {name} needs the option {head.form_option}")
    return head.forms[options[head.form_option]]


def options_of(name: str, options: Mapping) -> set[str]:
    """Those options that mean something to the head of a name, in that form."""
    return {*head_of(name, options).options, HEADS[name].form_option} - {None}


def known_options() -> set[str]:
    """The options of all heads."""
    known = set()
    for head in HEADS.values():
        for form in (head, *head.forms.values()):
            known |= {*form.options, form.form_option}
    return known - {None}
