"""The paper that an operator or a backbone comes from, as BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A conference paper.

    Args:
        key: key of the BibTeX entry.
        authors: the authors in BibTeX's notation, joined by ``and``.
        title: title of the paper.
        venue: conference where it was published.
        year: year of publication.
        arxiv: arXiv identifier of its preprint.
    """

    key: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str

    def bibtex(self) -> str:
        """Writes the BibTeX entry; braces keep the capitals of the title."""
        fields = {
            "author": self.authors, "title": f"{{{self.title}}}", "booktitle": self.venue, "year": str(self.year),
            "eprint": self.arxiv, "archiveprefix": "arXiv",
        }  # fmt: skip
        return "\n".join([f"@inproceedings{{{self.key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])
