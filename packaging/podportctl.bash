# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion for podportctl: commands, their options, and pods, by what podportctl says of itself.

_podportctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' index words=''

	COMPREPLY=()
	for ((index = 1; index < COMP_CWORD; index++)); do
		case ${COMP_WORDS[index]} in
		--socket | --timeout | --mtu | --count | --bytes | --seconds | --snap | -c | -w) index=$((index + 1)) ;;
		-* | help) ;;
		*) command=${COMP_WORDS[index]} && break ;;
		esac
	done
	case $before in
	-w | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--timeout | --mtu | -c | --count | --bytes | --seconds | --snap) return ;;
	esac
	if [[ $word == -* ]]; then
		words=$(podportctl ${command:+"$command"} --help 2>/dev/null | grep -oE -- '--[a-z]+' | sort -u)
	elif [ -z "$command" ]; then
		words=$(podportctl --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
	elif [ "$command" = network ]; then
		words=set
	elif podportctl "$command" --help 2>/dev/null | head -n 1 | grep -q '\[POD\]'; then
		words=$(podportctl --timeout 5 pods 2>/dev/null | awk 'NR > 1 { print $1 }')
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _podportctl podportctl
