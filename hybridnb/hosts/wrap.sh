#!/bin/sh
# wrap.sh FOLDER             runs one attempt, at most once, leaves the evidence in its folder, exits with the script's code
# wrap.sh --claimed FOLDER   runs an attempt that its caller, batch.sh, has claimed
# wrap.sh --serve FIFO NAME  does so for each line "KEY ATTEMPT FOLDER" of the FIFO: one of the runner's workers
#   FOLDER/spec    what to run, sourced in a subshell: it exports what the script is given (any name may come), enters the work
#                  folder, puts the command in "$@", and sets hybridnb_limit, hybridnb_grace, hybridnb_outputs (hybridnb_ is ours)
#   FOLDER/claim   "PID START BOOT", made by the first act, atomically (O_EXCL): a twin finds it taken and runs nothing
#   FOLDER/rc      "CODE WORD", the end; word: exit missing timeout cancelled. Complete once the line ends: a torn one is no evidence
#   FOLDER/../cancel   the attempt is to stop, or never to start
# It leads a process group (setsid, by its caller), so that a stop reaches all that a script started.

identify() { # sets me: this process, told apart from a later one of the same number
  me="$$ - -"
  [ -r /proc/$$/stat ] || return 0
  read -r stat </proc/$$/stat && read -r boot </proc/sys/kernel/random/boot_id || return 0
  set -- ${stat##*) }
  me="$$ ${20} $boot"                                     # proc_pid_stat(5): field 22, the start time
}

write() { # FILE TEXT; a full disk delays the evidence, it does not lose it
  until { echo "$2" >"$hybridnb_here/$1"; } 2>/dev/null && [ -s "$hybridnb_here/$1" ]; do
    [ -f "$hybridnb_here/spec" ] || return 0              # the run was deleted: nobody wants it any more
    sleep 2
  done
}

end() { write rc "$1 $2"; } # CODE WORD

watch() { # SECONDS GRACE: ends the whole group when the time is up. Its sleep is a child, so that both can end early
  PATH=$hybridnb_path                                     # the script's own may lack sleep
  trap '' TERM HUP USR1 USR2
  trap 'kill -9 $!; exit' ALRM
  sleep "$1" & wait $!
  : >"$hybridnb_here/timeout"
  kill -TERM 0
  sleep "$2" & wait $!
  end 137 timeout
  kill -KILL 0
}

run() { # in a subshell, whose environment and folder are the script's
  hybridnb_limit='' hybridnb_grace=10 hybridnb_outputs='' hybridnb_shell=sh hybridnb_path=$PATH
  command -v bash >/dev/null && hybridnb_shell=bash
  . "$hybridnb_here/spec"
  [ -n "$hybridnb_limit$hybridnb_outputs" ] || exec "$@"
  trap : TERM HUP USR1 USR2
  [ -z "$hybridnb_limit" ] || { watch "$hybridnb_limit" "$hybridnb_grace" >/dev/null 2>&1 & hybridnb_guard=$!; }
  "$@"
  hybridnb_code=$?
  [ -z "$hybridnb_limit" ] || { kill -ALRM "$hybridnb_guard"; wait "$hybridnb_guard"; } 2>/dev/null
  [ "$hybridnb_code" -eq 0 ] || exit "$hybridnb_code"
  IFS='
'
  for hybridnb_file in $hybridnb_outputs; do
    [ -e "$hybridnb_file" ] || {
      : >"$hybridnb_here/missing"
      printf "hybridnb: the job declares the output '%s', but it is not there\n" "$hybridnb_file" >&2
    }
  done
  exit 0
}

attempt() { # FOLDER KEY ATTEMPT; sets code
  hybridnb_here=$1 code=75
  cd "$hybridnb_here" 2>/dev/null || return 0
  if [ -n "$me" ]; then
    set -C
    { true >claim; } 2>/dev/null || { set +C; return 0; }
    set +C
    write claim "$me"
  fi
  [ ! -e ../cancel ] || { end 75 cancelled; return 0; }
  [ -z "$2" ] || echo "start $2 $3 $$" >&4
  ( run ) >>out 2>>err </dev/null 3>&- 4>&- 5>&-
  code=$?
  word=exit
  if [ $code -ne 0 ] && [ -e ../cancel ]; then word=cancelled
  elif [ -e timeout ]; then word=timeout
  elif [ -e missing ]; then word=missing; fi
  end $code $word
  case $word in cancelled | timeout)
    [ -z "$2" ] || echo "done $2 $3 $code" >&3
    trap '' TERM
    kill -KILL 0 ;;                                       # whatever of the script ignored the polite signal
  esac
}

serve() { # FIFO NAME
  [ -p "$1" ] || return 0                                 # dismissed already
  exec 5<>"$1"
  echo "idle $2" >&3
  while read -r key try folder <&5 && [ "$key" != quit ]; do
    attempt "$folder" "$key" "$try"
    echo "done $key $try $code $2" >&3
  done
}

trap : TERM INT QUIT HUP USR1 USR2                        # a signal is for the script; this shell stays to write the end
me=
[ "$1" = --claimed ] && shift || identify
case $1 in
  --serve) serve "$2" "$3" ;;
  *) attempt "$1" '' ''; exit $code ;;
esac
