"""Remove a run's folder from a host: that one, and nothing else, ever."""

from __future__ import annotations

import re

from ...errors import HostError
from ..transport import Transport

_RUN = re.compile(r"\d{4}-\d\d-\d\d-\d{4}-[a-km-np-z2-9]{4}")  # as the store names them
_DIRECTORY = re.compile(r"/[^\x00-\x1f]*")

# DIRECTORY RUN: says how many bytes it freed. A run's folder is one that has an attempt in it, which is known by its token. It goes aside
# before it is emptied, so that no attempt begins in half a folder, and what a cut left of it goes next time. Not through links, nor
# into what is mounted there.
_CLEAN = r"""LC_ALL=C; export LC_ALL
refuse() { echo "$1/runs/$2 $3" >&2; exit 1; }
alive() { # FOLDER: might processes of this attempt live? As the runner judges it
  { read -r pid since boot <"$1/claim"; } 2>/dev/null || return 0         # it is being written
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  if [ "$since" != - ]; then
    read -r now </proc/sys/kernel/random/boot_id
    [ "$boot" = "$now" ] || return 1
    if { read -r stat </proc/"$pid"/stat; } 2>/dev/null; then
      set -- ${stat##*) }
      [ "${20}" = "$since" ] || return 1
    fi
  fi
  kill -0 "-$pid" 2>/dev/null
}
open() { # FOLDER of an attempt on a plain host: has it not ended?
  if { read -r code word <"$1/rc"; } 2>/dev/null; then return 1; fi
  if [ -e "$1/claim" ]; then alive "$1"; else [ ! -e "${1%/*}/cancel" ]; fi
}

[ -d "$1/runs" ] || { echo 0; exit; }
cd "$1/runs" || exit
aside=.$2.gone nl='
'
if [ -e "$2" ] || [ -L "$2" ]; then
  [ -d "$2" ] && [ ! -L "$2" ] || refuse "$1" "$2" 'is no folder; it stays'
  ours= busy=
  for spec in "$2"/[0-9]*/[0-9]*/spec; do
    attempt=${spec%/spec} job=${spec%/*/spec}
    case ${attempt#*/} in *[!0-9/]*) continue ;; esac
    [ -f "$spec" ] && [ ! -L "$spec" ] && [ ! -L "$attempt" ] && [ ! -L "$job" ] && read -r line <"$spec" || continue
    case $line in hybridnb_token=*) ours=1 ;; *) continue ;; esac
    [ -f "$attempt/unit" ] || ! open "$attempt" || busy="$busy ${attempt#*/}"
  done
  [ -n "$ours" ] || refuse "$1" "$2" 'holds no attempt of a job, so it may not be ours; it stays'
  if [ -d "$2/units" ]; then
    queue=$(squeue -h -u "$(id -un)" -o %j) || exit
    for unit in "$2"/units/*; do
      case $nl$queue$nl in *"${nl}hn-${unit##*/}$nl"*) busy="$busy hn-${unit##*/}" ;; esac
    done
  fi
  [ -z "$busy" ] || refuse "$1" "$2" "has jobs that have not ended:$busy; cancel them first"
fi
remove() { # what was put aside; sets size
  size=0
  [ -d "$aside" ] && [ ! -L "$aside" ] || return 0
  size=$(du -skx "$aside") || :
  size=${size%%[!0-9]*}
  find "$aside" -xdev -type d ! -perm -700 -exec chmod u+rwx {} \;
  find "$aside" -xdev ! -type d -exec rm -f {} + && find "$aside" -xdev -depth -type d -exec rmdir {} +
}
remove || exit
before=${size:-0}
[ ! -e "$2" ] || mv "$2" "$aside" || exit
remove || exit
echo "$(((before + ${size:-0}) * 1024))"
"""


def clean(transport: Transport, directory: str, run: str) -> int:
    """Remove `<directory>/runs/<run>` from the host; return how many bytes that freed, 0 when nothing is there.

    Raises HostError when it is not known to be ours, when jobs in it have not ended, and when something in it cannot be removed.
    """
    if not _RUN.fullmatch(run):
        raise HostError(f"host '{transport.name}': {run!r} is not the id of a run; nothing is removed")
    if not _DIRECTORY.fullmatch(directory) or ".." in directory.split("/"):
        raise HostError(f"host '{transport.name}': {directory!r} is no absolute path; nothing is removed")
    said = b"".join(transport.stream(_CLEAN, directory, run)).strip()
    if not said.isdigit():
        raise HostError(f"host '{transport.name}': what it says about {directory}/runs/{run} is not understood: {said[:200]!r}")
    return int(said)
