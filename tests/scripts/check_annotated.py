#!/usr/bin/env python3
"""Reads what `gradgate scan` wrote with readers that are not ours: mcap and rosbags, from PyPI.

check_annotated.py RECORDING ANNOTATED TOPIC...

Every message, attachment and metadata record of RECORDING (.mcap, or .db3 of rosbag2) must be in
ANNOTATED, in the same order and with the same bytes and times; each image of the topics must be
followed by its verdict and its ImageAnnotations, with the stamp of the image's header; both are
read by the definitions that lie in ANNOTATED.
Exits 1 with the first difference.
"""

import pathlib
import sqlite3
import sys

from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
VERDICTS = {"PASS", "BLOCK", "UNKNOWN"}
ENDINGS = {"/gradgate/verdict": "gradgate_msgs/msg/Verdict",
           "/gradgate/annotations": "foxglove_msgs/msg/ImageAnnotations"}


def fail(text):
    sys.exit(f"check_annotated: {text}")


def of_mcap(path):
    """Messages in the order of the file, attachments, metadata."""
    with open(path, "rb") as file:
        reader = make_reader(file)
        # In the order of the file, not of the times.
        messages = [
            (channel.topic, schema.name if schema else "", message.log_time, bytes(message.data))
            for schema, channel, message in reader.iter_messages(log_time_order=False)
        ]
        attachments = [(a.name, a.media_type, a.data) for a in reader.iter_attachments()]
        metadata = [(m.name, m.metadata) for m in reader.iter_metadata()]
        if reader.get_summary().statistics.message_count != len(messages):
            fail(f"{path}: the statistics do not count the messages")
    return messages, attachments, metadata


def of_db3(path):
    database = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    rows = database.execute(
        "SELECT name, type, timestamp, data FROM messages JOIN topics ON topic_id = topics.id "
        "ORDER BY timestamp, messages.id")
    return [tuple(row) for row in rows], [], []


def nanoseconds(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def check_added(topic, before, after, read):
    kind = {ending: [m for m in after if m[0] == topic + ending] for ending in ENDINGS}
    images = [m for m in before if m[0] == topic]
    if not images:
        fail(f"no images on {topic}")
    for ending, schema in ENDINGS.items():
        if len(kind[ending]) != len(images) or {m[1] for m in kind[ending]} != {schema}:
            fail(f"{topic}{ending}: {len(kind[ending])} messages for {len(images)} images")
    places = {id(m): at for at, m in enumerate(after)}
    copies = [m for m in after if m[0] == topic]
    seen = set()
    for image, verdict, marks in zip(copies, *kind.values()):
        if [places[id(m)] - places[id(image)] for m in (verdict, marks)] != [1, 2]:
            fail(f"{topic}: verdict and marks do not follow the image at {image[2]}")
        if verdict[2] != image[2] or marks[2] != image[2]:
            fail(f"{topic}: not the time of the image at {image[2]}")
        stated, drawn = read(verdict[3], verdict[1]), read(marks[3], marks[1])
        header = read(image[3], image[1]).header
        stamp = nanoseconds(header.stamp) or image[2]
        if stated.verdict not in VERDICTS or nanoseconds(stated.header.stamp) != stamp:
            fail(f"{topic}: {stated}")
        if stated.gate not in ("OPEN", "CLOSED") or (stated.gate == "CLOSED") != bool(
                stated.gate_reason):
            fail(f"{topic}: {stated}")
        text, (border,) = drawn.texts[0], drawn.points
        if nanoseconds(text.timestamp) != stamp or nanoseconds(border.timestamp) != stamp:
            fail(f"{topic}: {drawn}")
        if not text.text.startswith(stated.verdict) or len(border.points) != 4:
            fail(f"{topic}: {drawn} is not {stated.verdict}")
        if border.points[2].x <= border.points[0].x or drawn.circles:
            fail(f"{topic}: {drawn}")
        seen.add(stated.frame)
    if len(seen) != len(images):
        fail(f"{topic}: {len(seen)} numbers for {len(images)} images")


def main():
    recording, annotated, *topics = sys.argv[1:]
    before, attachments, metadata = (of_db3 if recording.endswith(".db3") else of_mcap)(recording)
    after, attached, about = of_mcap(annotated)
    added = tuple(topic + ending for topic in topics for ending in ENDINGS)
    kept = [m for m in after if m[0] not in added]
    for at, (ours, theirs) in enumerate(zip(kept, before)):
        if ours != theirs:
            fail(f"message {at}: {ours[:3]} is not {theirs[:3]}")
    if len(kept) != len(before) or attached != attachments or about[:-1] != metadata:
        fail(f"{len(kept)} of {len(before)} messages, {attached}, {about}")
    if about[-1][0] != "gradgate" or len(about[-1][1]["model_digest"]) != 64:
        fail(f"{about[-1]}")
    with AnyReader([pathlib.Path(annotated)]) as reader:
        for topic in topics:
            check_added(topic, before, after, reader.deserialize)
    print(f"{annotated}: {len(before)} messages and what was added to {', '.join(topics)}: good")


if __name__ == "__main__":
    main()
