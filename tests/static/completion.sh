#!/bin/bash
# Completing a word runs nothing and offers nothing that a shell would: guests are called by whoever made them, and root
# completes. Asks the completion of duet-console with a duet-console that lists such guests, and looks whether any completion
# gives compgen -W, which expands each word, more than options.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# offered WORD...: what is offered for the last one.
offered() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _duet_console
    printf '%s ' "${COMPREPLY[@]}"
}

cat > "$work/duet-console" << END
#!/bin/sh
cat << 'ROWS'
DOMID SERVED TERMINAL    READERS   WRITER      PRINTED     TYPED NAME
    1 yes    free              0        -            0         0 web1
    2 yes    free              0        -            0         0 web.2
    3 yes    free              0        -            0         0 \$(touch\${IFS}$work/ran)
    4 yes    free              0        -            0         0 \`touch\${IFS}$work/ran\`
    5 yes    free              0        -            0         0 web;reboot
    6 yes    free              0        -            0         0 --take
    7 yes    free              0        -            0         0 two words
    8 yes    free              0        -            0         0 web*
ROWS
END
chmod +x "$work/duet-console"
PATH=$work:$PATH
# shellcheck source=console-tools/completion/duet-console
. console-tools/completion/duet-console

for case in 'web1 web.2 |' 'web1 web.2 |w' 'web1 |web1' '|$'; do
    got=$(offered duet-console attach "${case#*|}")
    [ "$(echo $got)" = "$(echo ${case%|*})" ] || {
        echo "completion.sh: '${case#*|}' is completed by '$got'"
        status=1
    }
done
[ ! -e "$work/ran" ] || { echo "completion.sh: the name of a guest was run"; status=1; }

if grep -n '(compgen -W' ./*/completion/* | grep -v -e "compgen -W '" -e 'compgen -W "\$options"'; then
    echo "completion.sh: compgen -W expands these words"
    status=1
fi
exit $status
