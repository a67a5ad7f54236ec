#!/bin/sh
# batch.sh PROGRAMS RUN TOKEN: what Slurm starts for a unit, or for each task of its array; see cluster.sh.
# It claims the attempt, so that a twin or what was taken back never runs, looks at the parents once more, runs it by wrap.sh,
# again after a failure if the job has retries, and leaves the evidence. Its exit code is the last attempt's, for what waits natively.
programs=$1 run=$2 token=$3
. "$programs/cluster.sh" || exit 72
native=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}
place=$run/units/$token task='' tries=0
until task=$(sed -n "${SLURM_ARRAY_TASK_ID:-1}{p;q;}" "$place/list") && [ -n "$task" ]; do      # a file system may be late
  [ $((tries += 1)) -lt 20 ] || { echo "hybridnb: $place/list is not on ${SLURMD_NODENAME-this node}: is its folder shared?" >&2; exit 72; }
  sleep 1
done
set -- $task
key=$1 retries=$3 backoff=$4 after=$5
locate "$key"
a=$first last=$((first + retries + ${SLURM_RESTART_COUNT:-0})) child='' killed='' caught=''

evidence() { { read -r code word <"$d$a/rc"; } 2>/dev/null; } # sets code and word

quit() { # CODE WORD: the end
  [ -s "$d$a/rc" ] || keep "$d$a/rc" "$1 $2"
  tell end "$key" "$a" "$1" "$2" "$native"
  if [ -s "$d$first/kids" ]; then
    case $1,$2 in
      0,exit) doom "$key" ok ;;
      *,skipped) doom "$key" skipped ;;
      0,killed) ;;                                        # Slurm says whether that was in time
      *,killed) grep -q -e --requeue "$place/options" || doom "$key" failed ;;
      *) doom "$key" failed ;;
    esac
  fi
  case $1,$2 in 0,exit | 0,killed) exit 0 ;; 0,*) exit 1 ;; *) exit "$1" ;; esac
}

next() { # an attempt's folder is the copy of the one before
  [ -e "$d$((a + 1))/spec" ] || { mkdir -p "$d$((a + 1))" && cp -p "$d$a/script" "$d$a/spec" "$d$((a + 1))/"; } || exit 72
  a=$((a + 1))
}

stand_in() { # a controller that forgot that this job runs has started it once more: the other one does the work
  until outcome "$key"; [ -n "$e" ]; do sleep 5; done
  [ "$e" = ok ]
  exit
}

begin_again() { # the attempt is claimed: by this job, before Slurm queued it again, or by somebody else
  case $owner in
    "$SLURM_JOB_ID") [ -n "${SLURM_RESTART_COUNT-}" ] || stand_in ;;
    '') [ -n "${SLURM_RESTART_COUNT-}" ] || exit 75 ;;     # killed while it wrote the claim
    *) exit 75 ;;
  esac
  if { read -r line <"$d$a/end"; } 2>/dev/null; then
    case $line in *' 0 exit '*) exit 0 ;; *' cancelled '* | *' skipped '*) exit 75 ;; esac
    rm -f "$d$a/end"
  fi
  [ -e "$d$a/fail" ] || { evidence || { code=75 word=requeued; }; tell fail "$key" "$a" "$code" requeued "$native"; }
  next
}

parents() { # sets doomed. A parent that is done said so before Slurm could know: only the file system, or Slurm's memory, may be late
  tries=0
  while edges "$after"; do
    case $open in *:ok*) ;; *) break ;; esac
    [ $((tries += 1)) -lt 120 ] || { doomed=1; break; }
    sleep 1
  done
  locate "$key"
}

pass() { # SIGNAL: to the script, for Slurm may have told only this shell
  caught=1
  [ -z "$child" ] || kill "-$1" "-$child" 2>/dev/null || kill "-$1" "$child" 2>/dev/null
}

await() { # until what was started has ended: a signal ends a wait early
  caught=1
  while [ -n "$caught" ]; do
    caught=
    wait "$child"
  done 2>/dev/null
}

trap 'killed=1; pass TERM' TERM
trap 'killed=1; pass INT' INT
for signal in HUP USR1 USR2; do trap "pass $signal" $signal; done
until claim "$d$a" "$SLURM_JOB_ID $native ${SLURMD_NODENAME-}"; do begin_again; done
while :; do
  [ ! -e "${d}cancel" ] || quit 75 cancelled
  parents
  [ -z "$doomed" ] || quit 75 skipped
  tell start "$key" "$a" 0 run "$native"
  setsid sh "$programs/wrap.sh" --claimed "$d$a" &
  child=$!
  await
  evidence || { [ -e "${d}cancel" ] && keep "$d$a/rc" '137 cancelled' || keep "$d$a/rc" '137 exit'; evidence; }
  child=
  case $killed,$code,$word in
    *,*,cancelled | ,0,exit) quit "$code" "$word" ;;
    1,*) quit "$code" killed ;;                           # Slurm ends the job, and says why
  esac
  [ "$a" -lt "$last" ] && [ ! -e "${d}cancel" ] || quit "$code" "$word"
  tell fail "$key" "$a" "$code" "$word" "$native"
  pause=$((backoff << (a - first < 10 ? a - first : 10)))
  next
  tell retry "$key" "$a" "$pause" wait "$native"
  sleep "$pause" &
  child=$!
  await
  child=
  claim "$d$a" "$SLURM_JOB_ID $native ${SLURMD_NODENAME-}" || exit 75
  [ -z "$killed" ] || quit 143 killed
done
