#!/usr/bin/env python3
"""Which images duet-image starts a server for, what that may see, and with which sentence it refuses the others. What it runs
(systemd, xenstore) is a script that notes its arguments. lab.block-image has the real ones."""
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SCRIPT = Path(__file__).resolve().parents[2] / "configs/scripts/duet-image"
BACKING_FORMAT = 0xe2792aca
NOTE = """#!/bin/sh
printf '%s\\n' "${0##*/}" "$@" '' >> "$NOTES"
[ "${0##*/}" != xenstore-read ] || echo "$MODE"
[ "$FAILS" != "${0##*/} $2" ]
"""


def qcow2(backing="", backing_format="raw", incompatible=0, extensions=(), version=3):
    """A header with its extensions; the disk itself is of no interest here."""
    begin = 104 if version > 2 else 72
    if backing and backing_format:
        extensions = [*extensions, (BACKING_FORMAT, backing_format.encode())]
    body = b"".join(struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8) for kind, data in extensions)
    body += bytes(8)
    offset = begin + len(body) if backing else 0
    head = struct.pack(">4sIQI", b"QFI\xfb", version, offset, len(backing))
    if version > 2:
        head = head.ljust(72, b"\0") + struct.pack(">QQQII", incompatible, 0, 0, 4, begin)
    return head.ljust(begin, b"\0") + body + backing.encode() + bytes(512)


def vhd(kind):
    return b"conectix".ljust(60, b"\0") + struct.pack(">I", kind) + bytes(512)


def vmdk(descriptor="parentCID=ffffffff\n", flags=3, capacity=16384, place=1):
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, flags, capacity, 128, place, 20)
    return head.ljust(512, b"\0") + f"# Disk DescriptorFile\nversion=1\nCID=35df0399\n{descriptor}".encode() + bytes(10240)


class Images(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        for name in ("bin", "run", "bases", "systemd"):
            (self.root / name).mkdir()
        for name in ("systemd-run", "systemctl", "journalctl", "xenstore-read", "xenstore-write", "qemu-nbd"):
            (self.root / "bin" / name).write_text(NOTE)
            (self.root / "bin" / name).chmod(0o755)
        text = SCRIPT.read_text(encoding="utf-8")
        for place, ours in (("/run/systemd/system", "systemd"), ("/var/lib/duet/bases", "bases"), ("/run/duet/image", "run")):
            self.assertIn(place, text)
            text = text.replace(place, str(self.root / ours))
        (self.root / "duet-image").write_text(text)

    def make(self, name, content):
        (self.root / name).write_bytes(content)
        return self.root / name

    def run_it(self, *arguments, mode="w", fails="", path="/local/domain/0/backend/vbd/5/51712"):
        """What was run, each with its arguments."""
        notes = self.root / "notes"
        notes.write_text("")
        self.status = subprocess.run(
            ["sh", self.root / "duet-image", *arguments], check=False, stderr=subprocess.DEVNULL, timeout=60,
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}", "NOTES": str(notes), "MODE": mode,
                 "FAILS": fails, "XENBUS_PATH": path}).returncode
        return [note.split("\n") for note in notes.read_text().split("\n\n") if note]

    def refused(self, *arguments, **options):
        """The sentence; and nothing is left running."""
        ran = self.run_it(*arguments, **options)
        self.assertEqual(self.status, 1)
        written = [note for note in ran if note[0] == "xenstore-write"]
        self.assertEqual(len(written), 1)
        self.assertEqual(written[0][3:], ["/local/domain/0/backend/vbd/5/51712/hotplug-status", "error"])
        return written[0][2]

    def refuses(self, kind, content, sentence, **options):
        image = self.make("image", content)
        self.assertEqual(self.refused("start", f"{kind}:{image}", **options), f"image {image}: {sentence}")

    def served(self, kind, image, **options):
        """How the server is started: its properties, and the tree that it opens."""
        ran = self.run_it("start", f"{kind}:{image}", **options)
        self.assertEqual(self.status, 0, ran)
        self.assertEqual(ran[-1][1:], [
            "/local/domain/0/backend/vbd/5/51712/physical-device-path",
            f"nbd+unix:///disk?socket={self.root}/run/vbd-5-51712",
            "/local/domain/0/backend/vbd/5/51712/hotplug-status", "connected"])
        server = next(note for note in ran if note[0] == "systemd-run")
        self.assertIn(["systemctl", "--quiet", "start", "duet-image-vbd-5-51712.service"], ran)
        return server, server[-1].removeprefix("json:")

    def test_an_image_by_itself(self):
        for kind, driver, content, under in (("qcow2", "qcow2", qcow2(), ',"backing":null'), ("vhd", "vpc", vhd(3), ""),
                                             ("vhd", "vpc", bytes(4096), ""),
                                             ("qcow2", "qcow2", qcow2(version=2), ',"backing":null'),
                                             ("vmdk", "vmdk", vmdk(), ',"backing":null')):
            image = self.make("image", content)
            server, tree = self.served(kind, image)
            self.assertEqual(tree, f'{{"driver":"{driver}","file":{{"driver":"file","filename":"/images/0"}}{under}}}')
            self.assertIn(f"--property=BindPaths={image}:/images/0", server)
            self.assertIn("--property=User=%d" % os.getuid(), server)
            self.assertNotIn("--read-only", server)

    def test_for_reading_it_is_bound_and_opened_so(self):
        image = self.make("image", qcow2())
        server, _ = self.served("qcow2", image, mode="r")
        self.assertIn(f"--property=BindReadOnlyPaths={image}:/images/0", server)
        self.assertIn("--read-only", server)

    def test_backing_files_are_opened_for_reading_in_the_format_that_is_stated(self):
        self.make("bases/raw.img", bytes(512))
        self.make("bases/middle", qcow2("raw.img"))
        self.make("image", qcow2(f"{self.root}/bases/middle", "qcow2", version=2))
        server, tree = self.served("qcow2", self.root / "image")
        self.assertEqual(
            tree, '{"driver":"qcow2","file":{"driver":"file","filename":"/images/0"},"backing":'
            '{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"/images/1","read-only":true},"backing":'
            '{"driver":"raw","read-only":true,"file":{"driver":"file","filename":"/images/2","read-only":true}}}}')
        self.assertIn(f"--property=BindReadOnlyPaths={self.root}/bases/middle:/images/1", server)
        self.assertIn(f"--property=BindReadOnlyPaths={self.root}/bases/raw.img:/images/2", server)

    def test_a_link_of_the_administrators_is_a_base(self):
        self.make("elsewhere", bytes(512))
        (self.root / "bases/link").symlink_to(self.root / "elsewhere")
        server, _ = self.served("qcow2", self.make("image", qcow2(f"{self.root}/bases/link")))
        self.assertIn(f"--property=BindReadOnlyPaths={self.root}/elsewhere:/images/1", server)

    def test_no_backing_file_from_elsewhere(self):
        self.make("secret", bytes(512))
        for name, shown in ((f"{self.root}/secret", f"{self.root}/secret"), ("secret", f"{self.root}/secret"),
                            (f"{self.root}/bases/../secret", f"{self.root}/secret"),
                            (f"{self.root}/bases", f"{self.root}/bases"), ("/etc/shadow", "/etc/shadow")):
            self.refuses("qcow2", qcow2(name), f"its backing file {shown} is not below {self.root}/bases, where what guests "
                         "may read is kept")
        for name in ("nbd://host/x", 'json:{"driver":"raw"}', "a b", "a,b", "a%i"):
            self.refuses("qcow2", qcow2(name), "the name of its backing file has characters that are not allowed")

    def test_a_base_may_not_build_on_something_else_either(self):
        self.make("secret", bytes(512))
        self.make("bases/middle", qcow2(f"{self.root}/secret"))
        self.refuses("qcow2", qcow2(f"{self.root}/bases/middle", "qcow2"), f"its backing file {self.root}/secret is not below "
                     f"{self.root}/bases, where what guests may read is kept")

    def test_a_base_has_to_be_there_and_its_format_to_be_stated(self):
        self.refuses("qcow2", qcow2(f"{self.root}/bases/none"), "its backing file is not there")
        self.make("bases/raw.img", bytes(512))
        for stated in (None, "vmdk", "rawx", ""):
            self.refuses("qcow2", qcow2(f"{self.root}/bases/raw.img", stated), "it does not say that its backing file is raw or qcow2")

    def test_a_chain_ends(self):
        self.make("bases/loop", qcow2("loop", "qcow2"))
        self.refuses("qcow2", qcow2(f"{self.root}/bases/loop", "qcow2"), "more than 8 files in a row are its backing files")

    def test_a_header_cannot_keep_it_for_long(self):
        many = [(7, b"")] * 100000
        self.make("bases/raw.img", bytes(512))
        self.refuses("qcow2", qcow2(f"{self.root}/bases/raw.img", extensions=many), "it does not say that its backing file is raw or qcow2")

    def test_headers_that_make_no_sense(self):
        for content in (b"", bytes(512), b"QFI"):
            self.refuses("qcow2", content, "not in the format qcow2")
        self.refuses("qcow2", qcow2(incompatible=4), "its data is in another file, which is not served")
        self.refuses("qcow2", struct.pack(">4sI", b"QFI\xfb", 3), "its header makes no sense")
        for offset, length in ((1 << 63, 4), (200, 5000), (200, 1 << 31)):
            self.refuses("qcow2", struct.pack(">4sIQI", b"QFI\xfb", 2, offset, length).ljust(512, b"\0"), "its header makes no sense")

    def test_a_disk_that_builds_on_another_shows_no_zeroes_in_its_place(self):
        self.refuses("vhd", vhd(4), "it builds on another image (a differencing disk), which is not served")
        for descriptor in ("parentCID=35df0399\n", 'parentCID=ffffffff\nparentFileNameHint="a"\n', "parentCID=ffffffff0\n"):
            self.refuses("vmdk", vmdk(descriptor), "it builds on another image, which is not served")

    def test_a_vmdk_is_one_file(self):
        self.refuses("vmdk", b'# Disk DescriptorFile\nRW 1 FLAT "/etc/shadow" 0\n', "not a vmdk image that is one file (monolithicSparse)")
        self.refuses("vmdk", vmdk(capacity=0), "its data is in another file, which is not served")
        self.refuses("vmdk", vmdk(place=0), "its data is in another file, which is not served")

    def test_a_compressed_vmdk_is_only_for_reading(self):
        self.refuses("vmdk", vmdk(flags=0x30003), "it is compressed (streamOptimized), and so only for reading")
        self.served("vmdk", self.root / "image", mode="r")

    def test_paths(self):
        self.assertEqual(self.refused("start", "qcow2:/nowhere"), "image /nowhere: no such file")
        self.assertEqual(self.refused("start", "qcow2:/"), "image /: not a regular file")
        for name in ("a b", "a:b", "a%n", "a,b", 'a"b', "a\nb"):
            image = self.make(name, qcow2())
            shown = str(image).replace("\n", "?")
            self.assertEqual(self.refused("start", f"qcow2:{image}"), f"image {shown}: only letters, digits and /._+@- may be in its path")
        (self.root / "plain").symlink_to(self.root / "a b")
        self.assertIn("only letters", self.refused("start", f"qcow2:{self.root}/plain"))

    @unittest.skipUnless(os.getuid() == 0, "only root can give files away")
    def test_the_owner_is_a_user_of_this_host(self):
        image = self.make("image", qcow2())
        os.chown(image, 4711, 0)
        self.assertEqual(self.refused("start", f"qcow2:{image}"), f"image {image}: its owner, user 4711, is unknown here, and its server "
                         "is to run as that user")
        os.chown(image, 1, 4711)
        self.assertEqual(self.refused("start", f"qcow2:{image}"), f"image {image}: its group 4711 is unknown here, and its server "
                         "is to run as that group")
        os.chown(image, 1, 1)
        self.assertIn("--property=User=1", self.served("qcow2", image)[0])

    def test_what_is_missing_is_named(self):
        image = self.make("image", qcow2())
        (self.root / "systemd").rmdir()
        self.assertEqual(self.refused("start", f"qcow2:{image}"), f"image {image}: format qcow2 needs systemd, which does not run here")

    def test_a_server_that_does_not_start_is_stopped(self):
        image = self.make("image", qcow2())
        (self.root / "run/vbd-5-51712").write_text("")
        sentence = self.refused("start", f"qcow2:{image}", fails="systemctl start")
        self.assertEqual(sentence, f"image {image}: its server does not start: see journalctl -u duet-image-vbd-5-51712")
        ran = self.run_it("start", f"qcow2:{image}", fails="systemctl start")
        self.assertEqual(ran[-2], ["systemctl", "--quiet", "stop", "duet-image-vbd-5-51712.socket", "duet-image-vbd-5-51712.service"])

    def test_stop(self):
        self.assertEqual(self.run_it("stop"), [])
        (self.root / "run/vbd3-7-51728").write_text("")
        self.assertEqual(self.run_it("stop", path="backend/vbd3/7/51728"), [
            ["systemctl", "--quiet", "stop", "duet-image-vbd3-7-51728.socket", "duet-image-vbd3-7-51728.service"]])
        self.assertEqual(self.status, 0)

    def test_only_a_devices_path(self):
        for path in ("backend/vbd/5", "backend/vbd/5/", "backend//5/51712", "backend/vbd/5/51712/x", "backend/vbd/../51712", "x"):
            self.assertEqual(self.run_it("stop", path=path), [])
            self.assertEqual(self.status, 2, path)


if __name__ == "__main__":
    unittest.main()
