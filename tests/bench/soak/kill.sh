# with: daemon-kill
# Five thousand kills of our daemons at random moments, under load: the long form of lab.daemon-kill, which tells more.
# KILLS and SEED change what is done.
KILLS=${KILLS:-5000}
cp lib.sh daemon-kill
cd daemon-kill || exit 1
. ./test.sh
