#!/usr/bin/env python3
"""Recordings written by others than us: rosbags (rosbag2 bags) and mcap, both from PyPI.

make_recordings.py FOLDER     writes the recordings that tests/recordings.rs reads

Samples of the frame n of a topic are (n * 50 + byte * 7) % 256 where nothing else is said. Needs
numpy, pillow, rosbags and mcap.
"""

import io
import pathlib
import shutil
import sqlite3
import sys
import tempfile

import numpy as np
from mcap.writer import CompressionType, Writer as McapWriter
from PIL import Image as Picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
WIDTH, HEIGHT, FRAMES = 4, 2, 3
# Luma and chroma of red, green and blue in BT.601, limited range.
YUV = [(81, 90, 240), (145, 54, 34), (41, 240, 110)]
FIRST_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000


def pattern(number, count):
    return (number * 50 + np.arange(count) * 7).astype(np.uint8)


def header(number, stamped):
    time = FIRST_NS + number * STEP_NS - 1_000_000 if stamped else 0
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def plain(encoding, pixel, padding=0, stamped=True, data=None):
    def message(number):
        step = WIDTH * pixel + padding
        samples = pattern(number, step * HEIGHT) if data is None else data(number)
        return STORE.types["sensor_msgs/msg/Image"](
            header=header(number, stamped), height=HEIGHT, width=WIDTH, encoding=encoding,
            is_bigendian=0, step=step, data=samples)
    return "sensor_msgs/msg/Image", message


def compressed(text, kind, picture):
    def message(number):
        file = io.BytesIO()
        picture(number).save(file, kind)
        data = np.frombuffer(file.getvalue(), np.uint8)
        return STORE.types["sensor_msgs/msg/CompressedImage"](
            header=header(number, True), format=text, data=data)
    return "sensor_msgs/msg/CompressedImage", message


def uyvy(number):
    luma, blue, red = YUV[number]
    return np.array([blue, luma, red, luma] * (WIDTH // 2 * HEIGHT), np.uint8)


def png(number):
    return Picture.fromarray(pattern(number, WIDTH * HEIGHT * 3).reshape(HEIGHT, WIDTH, 3))


def jpeg(number):
    return Picture.new("RGB", (16, 8), (40 * number + 30,) * 3)


def text(number):
    return STORE.types["std_msgs/msg/String"](data=f"word {number}")


TOPICS = {
    "/rgb": plain("rgb8", 3, padding=2),
    "/bgr": plain("bgr8", 3, stamped=False),
    "/mono": plain("mono8", 1),
    "/yuv": plain("yuv422", 2, data=uyvy),
    "/deep": plain("mono16", 2),
    "/png": compressed("png", "PNG", png),
    "/jpeg": compressed("rgb8; jpeg compressed bgr8", "JPEG", jpeg),
    "/words": ("std_msgs/msg/String", text),
}


def bag(folder, plugin, topics):
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        connections = {
            topic: writer.add_connection(topic, TOPICS[topic][0], typestore=STORE)
            for topic in topics
        }
        for number in range(FRAMES):
            for topic, connection in connections.items():
                kind, message = TOPICS[topic]
                data = STORE.serialize_cdr(message(number), kind)
                writer.write(connection, FIRST_NS + number * STEP_NS, data)


def bags(target):
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        bag(place / "m", StoragePlugin.MCAP, TOPICS)
        (made,) = (place / "m").glob("*.mcap")
        shutil.copyfile(made, target / "rosbags.mcap")
        bag(place / "s", StoragePlugin.SQLITE3, TOPICS)
        (made,) = (place / "s").glob("*.db3")
        # Small pages: half of the file would be empty.
        database = sqlite3.connect(made)
        database.executescript("PRAGMA page_size=512; VACUUM;")
        database.close()
        shutil.copyfile(made, target / "rosbags.db3")


def definition(kind):
    text, _ = STORE.generate_msgdef(kind, ros_version=2)
    return text.encode()


def mcap(path, compression, chunked):
    kind, message = TOPICS["/mono"]
    with open(path, "wb") as file:
        writer = McapWriter(file, chunk_size=90, compression=compression, use_chunking=chunked)
        writer.start(profile="ros2", library="make_recordings.py")
        schema = writer.register_schema(kind, "ros2msg", definition(kind))
        empty = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        image = writer.register_channel("/mono", "cdr", schema, {"offered_qos_profiles": ""})
        note = writer.register_channel("/note", "cdr", empty)
        writer.add_metadata("robot", {"name": "a"})
        writer.add_attachment(0, 0, "map.txt", "text/plain", b"here")
        # The second frame was logged before the first.
        for number, place in [(1, 1), (0, 0), (2, 2)]:
            time = FIRST_NS + place * STEP_NS
            data = bytes(STORE.serialize_cdr(message(number), kind))
            writer.add_message(image, time, data, time, number)
            word = STORE.serialize_cdr(text(number), "std_msgs/msg/String")
            writer.add_message(note, time, bytes(word), time, number)
        writer.finish()


def main():
    target = pathlib.Path(sys.argv[1])
    bags(target)
    mcap(target / "plain.mcap", CompressionType.NONE, True)
    mcap(target / "zstd.mcap", CompressionType.ZSTD, True)
    mcap(target / "lz4.mcap", CompressionType.LZ4, True)
    mcap(target / "unchunked.mcap", CompressionType.NONE, False)


if __name__ == "__main__":
    main()
