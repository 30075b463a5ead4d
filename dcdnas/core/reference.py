"""The paper that an operator or a backbone comes from, as BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A conference paper.

    Args:
        key: of the entry.
        authors: as BibTeX has them, joined by ``and``.
        title: of the paper.
        venue: where it was published.
        year: likewise.
        arxiv: number of its preprint.
    """

    key: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str

    def bibtex(self) -> str:
        """The entry; the title's capitals are kept."""
        fields = {
            "author": self.authors, "title": f"{{{self.title}}}", "booktitle": self.venue, "year": str(self.year),
            "eprint": self.arxiv, "archiveprefix": "arXiv",
        }  # fmt: skip
        return "\n".join([f"@inproceedings{{{self.key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])
