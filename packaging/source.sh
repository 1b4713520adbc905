# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # of those that read this file
#
# For scripts that build from the distribution's own source packages, once, into the cache. They set "work", a folder
# of theirs, and "die".
#
# A source package is fetched with a temporary apt configuration derived from the machine's own, with deb-src switched
# on. The machine's apt sources, lists and cache are not touched.

# A copy of the machine's own sources with deb-src in the place of deb; everything else about them stays. Sets apt_options.
make_apt_config() {
	local apt_etc=$work/apt list parts file
	mkdir -p "$apt_etc/sources.list.d" "$work/lists/partial" "$work/archives/partial"
	eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
	: >"$apt_etc/sources.list"
	for file in "$list" "$parts"/*.list; do
		[ -f "$file" ] || continue
		sed -nE 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >>"$apt_etc/sources.list"
	done
	for file in "$parts"/*.sources; do
		[ -f "$file" ] || continue
		sed -E 's/^Types:.*/Types: deb-src/I' "$file" >"$apt_etc/sources.list.d/$(basename "$file")"
	done
	apt_options=(
		-o "Dir::Etc::sourcelist=$apt_etc/sources.list"
		-o "Dir::Etc::sourceparts=$apt_etc/sources.list.d"
		-o "Dir::State::lists=$work/lists"
		-o "Dir::Cache::archives=$work/archives"
		-o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
	)
}

# The version of a source package that goes with the binary package of the same name.
source_version() { # package
	apt-cache madison "$1" 2>/dev/null | awk -F'|' '{ gsub(/ /, "", $2); print $2; exit }'
}

# Fetch and unpack a source package below $work. Sets source_dir.
fetch_source() { # package version
	make_apt_config
	# A third-party repository without sources makes update complain; what counts is whether the fetch succeeds.
	apt-get "${apt_options[@]}" update -qq >"$work/apt.log" 2>&1 || true
	(cd "$work" && apt-get "${apt_options[@]}" source -qq "$1=$2" >>"$work/apt.log" 2>&1) || {
		cat "$work/apt.log" >&2
		die "the source package $1=$2 could not be fetched (see above): is a network and a deb-src repository there?"
	}
	source_dir=$(find "$work" -maxdepth 1 -type d -name "$1-*" | head -n 1)
	[ -n "$source_dir" ] || die "the source package unpacked to no $1-* folder"
}
