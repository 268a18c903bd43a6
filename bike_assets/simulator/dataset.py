"""The dataset's fields as the portal shows them: order, types and titles, including fields that we never read.

For Paris these are the fields of its portal, with invented values where we have no data.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from bike_assets.core.portal_fields import PortalFields
from bike_assets.settings import PARIS, read_city_file

Kind = Literal["text", "int", "datetime", "geo_point_2d"]
KINDS: dict[str, Kind] = {"bike_count": "int", "counted_at": "datetime", "coordinates": "geo_point_2d"}
PARIS_TITLES = {
    "id_compteur": None,
    "nom_compteur": None,
    "id": None,
    "name": None,
    "sum_counts": None,
    "date": None,
    "installation_date": "Date d'installation du site de comptage",
    "url_photos_n1": "Lien vers photo du site de comptage",
    "coordinates": None,
    "counter": "Identifiant technique compteur",
    "photos": "ID Photos",
    "test_lien_vers_photos_du_site_de_comptage_": "test_lien_vers_photos_du_site_de_comptage_",
    "id_photo_1": "id_photo_1",
    "url_sites": "url_sites",
    "type_dimage": "type_dimage",
    "mois_annee_comptage": "mois_annee_comptage",
}
"""Every field of Paris in the order of a record, with its title; None where the labels have the title."""


@dataclass(frozen=True)
class Dataset:
    """A dataset's fields in the order of a record.

    Attributes:
        fields: the portal's name for each of our columns.
        kinds: type by field.
        titles: title by field, as a CSV export with labels has it.
    """

    fields: PortalFields
    kinds: Mapping[str, Kind]
    titles: Mapping[str, str]

    def with_fields(self, table: pa.Table, names: Collection[str]) -> pa.Table:
        """Return a published table with the named fields that it lacks, filled with invented values."""
        for name in names:
            if name not in table.column_names:
                table = table.append_column(name, self._invented(table, name))
        return table

    def _invented(self, table: pa.Table, name: str) -> pa.ChunkedArray:
        if name == "mois_annee_comptage":
            return pc.strftime(table[self.fields.counted_at], format="%Y-%m").dictionary_encode()
        source = self.fields.key[0] if name == "counter" else self.fields.site_id
        texts = table[source].cast(pa.string()).dictionary_encode().combine_chunks()
        values = [_invented_text(name, crc32(text.encode()), text) for text in texts.dictionary.to_pylist()]
        made = pa.DictionaryArray.from_arrays(texts.indices, pa.array(values, type=pa.string()))
        return made.cast(pa.string()).dictionary_encode()


def dataset_of(fields: PortalFields, labels: PortalFields | None) -> Dataset:
    """Describe the dataset of a portal.

    Args:
        fields: the portal's names. For those of Paris, the other fields of its portal are added.
        labels: their titles; without them, the titles of Paris for its fields, or else the names themselves.
    """
    paris = read_city_file(PARIS)
    is_paris = fields == PortalFields(**paris["portal_fields"])
    if labels is None and is_paris:
        labels = PortalFields(**paris["portal_labels"])
    ours = fields.by_column
    kinds = {name: KINDS.get(column, "text") for column, name in ours.items()}
    titles = {name: (labels.by_column.get(column) if labels else None) or name for column, name in ours.items()}
    if not is_paris:
        return Dataset(fields, kinds, titles)
    return Dataset(
        fields,
        {name: kinds.get(name, "text") for name in PARIS_TITLES},
        {name: title or titles[name] for name, title in PARIS_TITLES.items()},
    )


def _invented_text(name: str, number: int, text: str) -> str | None:
    match name:
        case "installation_date":
            return f"{2012 + number % 12}-{1 + number % 11:02}-{1 + number % 28:02}"
        case "counter":
            return f"Y2H{10_000_000 + number % 90_000_000}"
        case "type_dimage":
            return "jpg"
        case "id_photo_1":
            return "https:"
        case _:
            return f"https://photos.example.org/{text}/{name}.jpg"
