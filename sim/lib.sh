# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What sim/up, sim/down, sim/enter and sim/machine share: where things are, and how the simulated machine is found,
# entered and taken away.
#
# The simulated machine is one PID namespace with a mount and a network namespace of its own. Its first process is
# sim/machine; when that dies the kernel kills everything inside, and with the last process go the namespaces,
# their mounts and their network devices. What is left then are files in one folder and some empty cgroups.

# shellcheck disable=SC2034 # of those that read this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run=${PODPORT_SIM_DIR:-/run/podport-sim}
name=$(basename "$run") # also the containerd namespace, and so the name of the containers' parent cgroup
cache=${PODPORT_CACHE:-/var/cache/podport}

# The wire, of documentation's prefixes: the agent's own addresses, those of the router at the far end, and somebody's behind it.
wire4=203.0.113.10 router4=203.0.113.1 somebody4=198.51.100.7
wire6=2001:db8:1::10 router6=2001:db8:1::1 somebody6=2001:db8:f::7

# containerd and runc may have been unpacked there: packaging/packages.
PATH=$PATH:/usr/sbin:/sbin:$cache/tools/usr/bin:$cache/tools/usr/sbin

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

say() { printf '%s\n' "$*"; }
step() { printf '%s\n' "${bold}$*${plain}"; }
die() {
	printf '%s\n' "sim/$(basename "$0"): $*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] ||
		die "only root can make network namespaces and devices. Run it as root: sudo sim/$(basename "$0")"
}

check_kernel() {
	[ "$(uname -s)" = Linux ] || die "this is not Linux"
	[ -c /dev/net/tun ] || die "there is no /dev/net/tun, which simulated NICs are made of. Load it with 'modprobe tun';
  in a container, start the container with --device /dev/net/tun"
	{ : <>/dev/net/tun; } 2>/dev/null || die "/dev/net/tun cannot be opened: the kernel has no tun driver ('modprobe tun'), or
  this container may not use it (start it with --device /dev/net/tun)"
	unshare --pid --fork --mount --net true 2>/dev/null ||
		die "the kernel refuses new namespaces. In a container, start the container with --privileged"
}

# A long command in a session of its own, waited for such that a signal to us is acted upon at once; stop_watched ends it
# with all that it started (and lets it tidy up).
watched_pid=''
watched() { # command...
	local status
	setsid "$@" &
	watched_pid=$!
	wait "$watched_pid" && status=0 || status=$?
	watched_pid=''
	return "$status"
}

stop_watched() {
	[ -n "$watched_pid" ] || return 0
	kill -TERM -- "-$watched_pid" 2>/dev/null || true
	wait_until 5 is_gone "$watched_pid" || true
	kill -KILL -- "-$watched_pid" 2>/dev/null || true
}

# One sim/up or sim/down at a time on this machine. The lock is on a folder that is there anyway, so nothing is left.
lock() {
	exec 9<"$(dirname "$run")"
	# What a killed one has started may hold it for a moment.
	flock -w 5 9 || die "another sim/up or sim/down is under way; wait until it ends"
}

# The state and the start time (clock ticks since boot) of a process: "S 12345"; nothing if there is no such process.
# With the start time a process ID that was reused cannot be mistaken for ours.
process_identity() { # pid
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	# The second field is the name in brackets and may hold anything, also spaces.
	# shellcheck disable=SC2086 # a list of words
	set -- ${stat##*) }
	printf '%s %s\n' "$1" "${20}"
}

# Is the simulated machine alive? Sets machine_pid.
find_machine() {
	local start
	machine_pid=''
	{ read -r machine_pid start _ <"$run/machine"; } 2>/dev/null || return 1
	case $(process_identity "$machine_pid") in
	Z* | X*) return 1 ;;
	*" $start") return 0 ;;
	*) return 1 ;;
	esac
}

# A command in the simulated machine, with our programs in its PATH.
in_machine() { # command...
	local build
	build=$(<"$run/build")
	PATH="$build/bin:$PATH" TMPDIR=/run/tmp CONTAINERD_NAMESPACE=$name \
		nsenter --target "$machine_pid" --pid --mount --net --wd=. -- "$@"
}

# Wait until a command succeeds; 0 if it did.
wait_until() { # seconds command...
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

is_gone() { # pid
	case $(process_identity "$1") in '' | Z*) return 0 ;; *) return 1 ;; esac
}

our_cgroups() { # version 2 has one tree, version 1 one below each controller
	local folder
	for folder in "/sys/fs/cgroup/$name" /sys/fs/cgroup/*/"$name"; do
		[ ! -d "$folder" ] || printf '%s\n' "$folder"
	done
}

remove_cgroups() {
	local folder
	our_cgroups | while read -r folder; do
		# The kernel lets go of the last task a moment after it is gone.
		wait_until 5 find "$folder" -depth -type d -exec rmdir {} + || true
		[ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

# Take the machine and its files away. Safe to call at any time, also with nothing there.
remove_machine() {
	if find_machine; then
		kill -KILL "$machine_pid" 2>/dev/null || true
		# The first process is only gone after all others of its PID namespace are; and the card only after the
		# kernel has taken its netdevs apart, some tens of milliseconds each.
		wait_until 90 is_gone "$machine_pid" || die "process $machine_pid of the simulated machine does not die"
	fi
	remove_cgroups
	if [ -d "$run" ]; then
		# A mount below it would be a bug of ours; never delete through one.
		if grep -q " ${run}[ /]" /proc/self/mountinfo; then die "something is mounted below $run"; fi
		rm -rf --one-file-system "$run"
	fi
}
