"""The lab: host packages, dom0 image, QEMU machine, channel to dom0, build, tests."""
