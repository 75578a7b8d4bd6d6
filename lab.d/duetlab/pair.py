"""Two labs that are hosts of one pair, so that guests can be moved between them: NAME and NAME-b.

In dom0 they are called host-a and host-b. Both see one shared disk, /dev/vdb, a network connects them (eth1), and root
of one can log in as root of the other by ssh, so `xl migrate GUEST host-b` works.
"""
import shlex
from pathlib import Path

from . import labs, machine
from .say import LabError, note, step

NAMES = ("host-a", "host-b")
ADDRESSES = ("192.168.78.1", "192.168.78.2")
SHARED_DISK = "/dev/vdb"

# In dom0 of each: its name, its address on the network between them, its way into the other one. The two
# were started from one snapshot, so what has to differ is set here; the ssh host key may be the same. Under
# TCG each packet costs, and OpenSSH's default key exchange takes 5 s: large frames, another exchange.
INTRODUCE = """
set -e
hostname {name}
echo {name} > /etc/hostname
sed -i '/ host-[ab]$/d' /etc/hosts
printf '%s\\n' {hosts} >> /etc/hosts
ip link set eth1 address {mac} mtu 32000
ip addr replace {address}/24 dev eth1
ip link set eth1 up
umask 077
mkdir -p /root/.ssh
cat > /root/.ssh/id_ed25519
printf '%s\\n' {known} > /root/.ssh/known_hosts
echo 'KexAlgorithms curve25519-sha256' > /root/.ssh/config
test -b {disk}
"""


def second(name):
    """The name of the second host's lab."""
    return name + "-b"


def make(name, cpus, memory):
    """The two labs."""
    return [labs.Lab(name, machine.Machine(cpus, memory, partner=second(name), first=True)),
            labs.Lab(second(name), machine.Machine(cpus, memory, partner=name, first=False))]


def up(hosts):
    """Bring both up, and make them known to each other; their dom0s."""
    for lab in hosts:
        if lab.is_up() and lab.facts().get("partner") != lab.hardware.partner:
            raise LabError(f"lab '{lab.name}' is up as a single host: ./lab down --name {lab.name}")
    # The second one's disk is the first one's: neither works with another's.
    if hosts[0].is_up() != hosts[1].is_up():
        for lab in hosts:
            lab.down()
    dom0s = [lab.up() for lab in hosts]
    if hosts[0].started:
        with step("make the two hosts known to each other"):
            for index, dom0 in enumerate(dom0s):
                _introduce(index, dom0, Path(hosts[index].facts()["image"]))
        note(f"{NAMES[0]} is lab '{hosts[0].name}', {NAMES[1]} is lab '{hosts[1].name}'; both have {SHARED_DISK}")
    return dom0s


def _introduce(index, dom0, image):
    host_key = (image / "known_hosts").read_text(encoding="utf-8").split(maxsplit=1)[1].strip()
    script = INTRODUCE.format(
        name=NAMES[index], address=ADDRESSES[index], mac=f"52:54:00:77:00:0{index + 1}", disk=SHARED_DISK,
        hosts=" ".join(shlex.quote(f"{a} {n}") for a, n in zip(ADDRESSES, NAMES)),
        known=shlex.quote(f"{','.join(NAMES)} {host_key}"))
    with open(image / "id_ed25519", "rb") as key:
        dom0.check(["bash", "-c", script], stdin=key)
