"""What can happen to a file: flipped and missing bytes, huge and wrong values, links, folders."""

import copy
import gzip
import io
import json
import os
import random
import re
import shutil
import tomllib
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import tomli_w

ODD_VALUES = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 0.0, 1e308, float("nan"),
    float("inf"), "", "x", "auto", "1e400", "x" * 5000, "a\nb\r\t\0", "α", [], [0], [[[]]], {},
    {"a": {}}, [1, "a", None],
)  # fmt: skip
ODD_TEXT = (
    b"99999999999999999999", b"4294967295", b"-1", b"1e999", b"nan", b"inf", b"", b"0", b"0x10",
    b"null", b"true", b'"x"', b"[]", b"{}", b"1_000", b"\xff", b"\0", b"(" * 50, b"1.5",
)  # fmt: skip
ODD_CONTENT = (
    b"", b"\0", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"[" * 100_000, b"(" * 5_000,
    b'{"a":' * 50_000, b"a = " + b"[" * 100_000, b"a." * 50_000 + b"a = 1", b"x" * 1_000_000,
    b"x,y\n" * 100_000, b'"', b"null", b"[]", b"{}", b"1", b'"text"', bytes(100_000),
    b"\x1f\x8b\x08\0", b"PK\x05\x06" + bytes(18), b"PAR1" + bytes(8) + b"PAR1", b"\x93NUMPY\x01\0",
)  # fmt: skip
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)


def damage_file(path, draw):
    """Damage a file in a way that is drawn; gives what was done, in words."""
    content = path.read_bytes()
    inside = INSIDE.get(path.suffix)
    if inside is not None and draw.random() < 0.5:
        try:
            what, damaged = inside(content, draw)
        except Exception as error:  # what was drawn cannot be written down
            what, damaged = f"bytes ({type(error).__name__} inside)", damage_bytes(content, draw)[1]
    else:
        what, damaged = damage_bytes(content, draw)
    path.write_bytes(damaged)
    return what


def damage_place(path, draw):
    """Put something else where the file was: nothing, a folder, a pipe, a link."""
    kinds = ("gone", "folder", "full folder", "pipe", "dangling", "circle", "device", "linked")
    kind = draw.choice(kinds)
    content = path.read_bytes()
    path.unlink()
    if kind.endswith("folder"):
        path.mkdir()
        if kind == "full folder":
            (path / path.name).write_bytes(content)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere/at/all")
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/dev/full")))
    elif kind == "linked":
        other = path.with_name(f"{path.name}.other")
        other.write_bytes(content)
        path.symlink_to(other.name)
    return kind


def swap_places(folder, paths, draw):
    """Let a file stand where another belongs."""
    one, other = draw.choice(paths), draw.choice(paths)
    if one != other:
        shutil.copyfile(one, folder / "kept")
        shutil.copyfile(other, one)
        shutil.copyfile(folder / "kept", other)
        (folder / "kept").unlink()
    return f"swapped with {other.name}"


def damage_bytes(content, draw):
    """Bytes as they may come off a bad disk or out of a bad program."""
    size = len(content)
    at = draw.randrange(size + 1)
    length = min(size - at, draw.choice((1, 2, 4, 16, 256, 4096)))
    match draw.randrange(12):
        case 0 | 1:
            flipped = bytearray(content)
            for _ in range(draw.choice((1, 1, 2, 8, 64)) if size else 0):
                flipped[draw.randrange(size)] ^= 1 << draw.randrange(8)
            return "flipped bits", bytes(flipped)
        case 2:
            return f"cut at {at}", content[:at]
        case 3:
            return f"without {length} bytes at {at}", content[:at] + content[at + length :]
        case 4:
            times = draw.choice((1, 1, 2, 1000))
            repeated = content[at : at + length] * times
            return f"{length} bytes at {at} again {times} times", content[:at] + repeated + content[
                at:
            ]
        case 5:
            noise = draw.randbytes(length)
            return f"noise at {at}", content[:at] + noise + content[at + length :]
        case 6 | 7:
            number = draw.choice(EXTREMES)
            width = draw.choice([w for w in (1, 2, 4, 8) if number < 256**w])
            order = draw.choice(("little", "big"))
            put = number.to_bytes(width, order)
            return f"{number:#x} at {at}", content[:at] + put + content[at + width :]
        case 8 | 9:
            found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
            if found:
                where, put = draw.choice(found), draw.choice(ODD_TEXT)
                changed = content[: where.start()] + put + content[where.end() :]
                return f"{put[:30]!r} for {where[0][:30]!r}", changed
            return "doubled", content + content
        case 10:
            lines = content.split(b"\n")
            line = draw.randrange(len(lines))
            put = draw.choice(
                ([], [lines[line]] * 2, [lines[line]] * 500, [b""], draw.choices(lines, k=3))
            )
            return f"line {line} replaced by {len(put)}", b"\n".join(
                lines[:line] + put + lines[line + 1 :]
            )
        case _:
            other = draw.choice(ODD_CONTENT)
            if draw.random() < 0.5:
                return f"{other[:20]!r}.. in all", other
            return f"{other[:20]!r}.. at {at}", content[:at] + other + content[at:]


def damage_value(value, draw):
    """A tree of dictionaries and lists with a node that is missing, odd, or somewhere else."""
    value = copy.deepcopy(value)
    nodes = []

    def visit(node):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, item in list(items):
            nodes.append((node, key))
            if isinstance(item, dict | list):
                visit(item)

    if isinstance(value, dict | list):
        visit(value)
    if not nodes:
        return draw.choice(ODD_VALUES)
    node, key = draw.choice(nodes)
    match draw.randrange(6):
        case 0:
            del node[key]
        case 1:
            other, at = draw.choice(nodes)
            node[key] = copy.deepcopy(other[at])
        case 2 if isinstance(node, dict):
            node[draw.choice(("x", "", "a.b", "α", "lr", "x" * 3000))] = node.pop(key)
        case 3:
            node[key] = [node[key]] if draw.random() < 0.5 else {"a": node[key]}
        case _:
            node[key] = draw.choice(ODD_VALUES)
    return value


def inside_json(content, draw):
    text = json.dumps(damage_value(json.loads(content), draw))
    if draw.random() < 0.1:  # the same key twice
        text = text.replace("{", '{"spec": 1, "format": 99,', 1)
    return "JSON", text.encode()


def inside_json_lines(content, draw):
    lines = content.decode().splitlines()
    at = draw.randrange(len(lines))
    lines[at] = json.dumps(damage_value(json.loads(lines[at]), draw))
    return f"JSON in line {at + 1}", "\n".join(lines).encode()


def inside_toml(content, draw):
    return "TOML", tomli_w.dumps(damage_value(tomllib.loads(content.decode()), draw)).encode()


def inside_gzip(content, draw):
    what, damaged = damage_bytes(gzip.decompress(content), draw)
    return f"unpacked: {what}", gzip.compress(damaged, 1)


def inside_npz(content, draw):
    def sized(member):
        header = 10 + int.from_bytes(member[8:10], "little")
        return draw.choice((header, len(member)))  # its header alone, or all of it

    return inside_zip(content, draw, sized)


def inside_zip(content, draw, sized=len):
    """One of the members of an archive damaged, in as many of its bytes as are asked for."""
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as read, zipfile.ZipFile(whole, "w") as written:
        names = read.namelist()
        chosen, what = draw.choice(names), ""
        for name in names:
            member = read.read(name)
            if name == chosen:
                part = sized(member)
                what, damaged = damage_bytes(member[:part], draw)
                member = damaged + member[part:]
            written.writestr(name, member)
    return f"{chosen}: {what}", whole.getvalue()


def inside_safetensors(content, draw):
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(damage_value(json.loads(content[8 : 8 + size]), draw)).encode()
    return "header", len(header).to_bytes(8, "little") + header + content[8 + size :]


TYPES = (
    pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.string(),
    pa.large_string(), pa.binary(), pa.date32(), pa.timestamp("ns"), pa.time64("us"),
    pa.duration("s"), pa.decimal128(38, 10), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.int64()), pa.list_(pa.int64()), pa.struct({"a": pa.int64()}),
)  # fmt: skip
MEMBERS = {
    "bool": [True, False], "date32": [0, -1], "list": [[1], []], "struct": [{"a": 1}, {}],
    "string": ["", "a", "1", "nan", "1" * 3000], "large_string": ["\n", "β"],
    "binary": [b"\xff", b""], "null": [None], "dictionary": [None],
}  # fmt: skip


def column(size, draw):
    """A column of any type, with values that few expect."""
    kind = draw.choice(TYPES)
    name = str(kind).split("<")[0].split("[")[0].split("(")[0]
    members = MEMBERS.get(name, [0, 1, None])
    return pa.array([draw.choice(members) for _ in range(size)]).cast(kind)


def inside_parquet(content, draw):
    table = damage_table(pq.read_table(io.BytesIO(content)), draw)
    whole = io.BytesIO()
    pq.write_table(table, whole, use_dictionary=draw.random() < 0.5)
    return "table", whole.getvalue()


def inside_arrow(content, draw):
    table = damage_table(pyarrow.feather.read_table(io.BytesIO(content)), draw)
    whole = io.BytesIO()
    compression = draw.choice(("uncompressed", "lz4", "zstd"))
    pyarrow.feather.write_feather(table, whole, compression=compression)
    return f"table ({compression})", whole.getvalue()


def damage_table(table, draw):
    """A table of Arrow with something that few expect."""
    match draw.randrange(6):
        case 0:
            table = table.slice(0, draw.choice((0, 1, 2)))
        case 1:
            table = table.drop_columns([draw.choice(table.column_names)])
        case 2:
            at = draw.randrange(table.num_columns)
            table = table.append_column(table.column_names[at], table[at])
        case 3:
            names = list(table.column_names)
            names[draw.randrange(len(names))] = draw.choice(("", "x" * 3000, "a\nb", "y", "α.β"))
            table = table.rename_columns(names)
        case 4:
            table = table.replace_schema_metadata({"pandas": "{", "gradus.format": "x"})
        case _:
            at = draw.randrange(table.num_columns)
            new = column(table.num_rows, draw)
            table = table.set_column(at, table.column_names[at], new)
    return table


INSIDE = {
    ".json": inside_json, ".toml": inside_toml, ".gz": inside_gzip, ".npz": inside_npz,
    ".parquet": inside_parquet, ".safetensors": inside_safetensors, ".arrow": inside_arrow,
    ".jsonl": inside_json_lines, ".xlsx": inside_zip,
}  # fmt: skip


def damage(folder, names, draw: random.Random):
    """Damage one of the files of a folder; gives which and how, in words."""
    path = folder / draw.choice(names)
    kind = draw.random()
    if kind < 0.12:
        return f"{path.name}: {damage_place(path, draw)}"
    if kind < 0.16 and len(names) > 1:
        return f"{path.name}: {swap_places(folder, [folder / name for name in names], draw)}"
    what = damage_file(path, draw)
    if kind > 0.9:  # twice as bad
        what += f", and {damage_file(path, draw)}"
    return f"{path.name}: {what}"
