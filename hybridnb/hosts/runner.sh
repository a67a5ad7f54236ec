#!/bin/sh
# runner.sh DIR SLOTS: the queue of one plain host, one per user, with wrap.sh beside it.
#   DIR/inbox/NAME  batches, renamed into place; lines:
#     add KEY ATTEMPT RETRIES BACKOFF DEPENDENCIES FOLDER/   run FOLDER/ATTEMPT; asked again, it tells how the attempt stands
#     cancel KEY GRACE   stop it, roughly after GRACE seconds, or never start it
#     withdraw KEY    never start it; "kept" if it has started
#     slots N         how many run at once
#   DIR/events      FIFO: "take NAME" and, from time to time, "look" from submitters, "idle…", "done…", "gone…" from workers,
#                   "tick PID" each second of a back-off
#   DIR/record      what happened, a line each, appended by this runner and its workers only:
#     start KEY ATTEMPT PID | end KEY ATTEMPT CODE WORD | fail KEY ATTEMPT CODE WORD (an end that another attempt follows)
#     retry KEY ATTEMPT SECONDS | kept KEY ATTEMPT
#     word: those of wrap.sh, and skipped withdrawn lost
#   DIR/taken/      accepted batches: all that a successor needs when this process is killed
#   DIR/lock        held (flock) while a runner lives; its text is the runner's pid
# DEPENDENCIES: "-" or KEY[:any|:failed],… It ends when nothing is open, by removing inbox/, so that no batch falls between.
# As many workers (wrap.sh --serve) as slots run the scripts: a job costs one fork. A worker outlives a killed runner and
# still writes its evidence. Variables: s_KEY (wN waiting for N parents, r ready, x running, b backing off, then ok failed
# skipped), j_KEY ("ATTEMPT FIRST LAST BACKOFF FOLDER/") until its end, kids_KEY, job_WORKER: few, as a shell looks them up in lists.
cd "$1" || exit 1
slots=$2 free=$2 open=0 ready=0 hired=0 awaited=0 idle='' running=' ' dhead=0 dtail=0 ticks=0 pausing=0
case $0 in /*) wrap=${0%/*}/wrap.sh ;; *) wrap=$OLDPWD/${0%/*}/wrap.sh ;; esac

exec 9>>lock
if command -v flock >/dev/null; then flock -w 2 9
elif command -v perl >/dev/null; then perl -e 'open(my $f, ">&=", 9); exit !flock($f, 6)'
else python3 -c 'import fcntl; fcntl.flock(9, 6)'; fi || exit 0
if command -v setsid >/dev/null; then alone() { setsid "$@"; }
elif command -v perl >/dev/null; then alone() { perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$@"; }
else alone() { python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"; }; fi
# A shell has what it starts in the background ignore these two, which no shell can undo; a script may want them.
plain='env --default-signal=INT,QUIT'
$plain true 2>/dev/null || plain=
dismiss() { # all workers, when they have done what they do; one that has not opened its FIFO yet finds it gone
  for fifo in worker.*; do [ ! -p "$fifo" ] || { rm -f "$fifo"; echo quit; } 1<>"$fifo"; done
}

echo $$ >lock
mkdir -p inbox taken
[ -p events ] || mkfifo events
dismiss                                                   # a dead runner's: they finish first
: >ready
[ ! -s record ] || [ "$(wc -c <record)" -lt 16000000 ] || : >record      # whoever has not read it asks again
exec 3<>events 4>>record 6>>ready 7<ready

# -- the state of one job ---------------------------------------------------------------------------------------------
load() { # KEY: sets s, and a (attempt), f and l (the first and the last one), b (back-off), d (folder)
  eval "s=\${s_$1-} d=\${j_$1-}"
  a=${d%% *} d=${d#* }
  f=${d%% *} d=${d#* }
  l=${d%% *} d=${d#* }
  b=${d%% *} d=${d#* }
}

enqueue() { # KEY
  eval "s_$1=r"
  ready=$((ready + 1))
  echo "$1" >&6
}

evidence() { # FOLDER: sets code and word
  { read -r code word <"$1/rc"; } 2>/dev/null
}

leave() { # FOLDER CODE WORD: evidence for an attempt that no wrapper ended
  { echo "$2 $3" >"$1/rc"; } 2>/dev/null || :
}

advance() { # KEY, loaded: goes to the attempt that is to run; fails when there is none, with code and word of the last
  while evidence "$d$a"; do
    case $code,$word in 0,exit | *,cancelled | *,skipped | *,withdrawn | *,lost) return 1 ;; esac
    [ "$a" -lt "$l" ] && [ ! -e "$d"cancel ] || return 1
    echo "fail $1 $a $code $word" >&4
    [ -e "$d$((a + 1))/spec" ] ||
      { mkdir -p "$d$((a + 1))" && cp -p "$d$a/script" "$d$a/spec" "$d$((a + 1))/"; } 2>/dev/null || return 1
    a=$((a + 1))
    eval "j_$1=\"\$a \$f \$l \$b \$d\""
  done
}

# -- workers ----------------------------------------------------------------------------------------------------------
hire() { # it says "idle" once its FIFO is open: what is written before that is lost
  hired=$((hired + 1)) awaited=$((awaited + 1))
  mkfifo "worker.$$_$hired"
  ( alone $plain sh "$wrap" --serve "worker.$$_$hired" $$_$hired; echo "gone $$_$hired" >&3 ) 6>&- 7>&- 9>&- &
}

occupy() { # KEY
  eval "s_$1=x"
  free=$((free - 1)) running="$running$1 "
}

vacate() { # KEY
  free=$((free + 1)) running=${running%%" $1 "*}" "${running#*" $1 "}
}

fill() {
  while [ $free -gt 0 ] && [ $ready -gt 0 ]; do
    if [ -z "$idle" ]; then
      [ $awaited -lt $free ] && [ $awaited -lt $ready ] || break
      hire
      continue
    fi
    read -r key <&7
    ready=$((ready - 1))
    load "$key"
    [ "$s" = r ] || continue
    worker=${idle%% *}
    idle=${idle#* }
    occupy "$key"
    eval "job_$worker=$key"
    printf '%s %s %s\n' "$key" "$a" "$d$a" 1<>"worker.$worker"     # to echo, a name may hold \n
  done
}

released() { # WORKER: it has nothing to do
  case $1 in $$_*) ;; *) return ;; esac
  eval "job_$1=''"
  idle="$1 $idle"
}

gone() { # WORKER: killed, or ended on purpose after a stop
  rm -f "worker.$1"
  case $1 in $$_*) ;; *) return ;; esac                   # a dead runner's
  eval "key=\${job_$1--}; unset job_$1"
  [ "$key" != - ] || { awaited=$((awaited - 1)); sleep 1; return; }     # it could not even start: no spinning
  case $idle in *"$1 "*) idle=${idle%%"$1 "*}${idle#*"$1 "} ;; esac
  [ -z "$key" ] || { load "$key"; ended "$key" "$a" lost; }
}

# -- what happens to a job --------------------------------------------------------------------------------------------
ended() { # KEY ATTEMPT CODE: its wrapper says so; CODE is "lost" when nobody is left to say it
  load "$1"
  [ "$s" = x ] && [ "$a" = "$2" ] || return 0
  if ! evidence "$d$a"; then
    if [ -e "$d"cancel ]; then leave "$d$a" 137 cancelled
    elif [ "$3" = 75 ] || [ "$3" = lost ] && alive "$d$a"; then outlive "$1"; return
    else leave "$d$a" 75 lost; fi
    evidence "$d$a" || { code=75 word=lost; }
  fi
  vacate "$1"
  advance "$1" || { finish "$1" "$code" "$word"; return; }
  pause=$((b << (a - f < 11 ? a - f - 1 : 10)))
  echo "retry $1 $a $pause" >&4
  if [ $pause -gt 0 ]; then later "$1" $pause; else enqueue "$1"; fi
}

later() { # KEY SECONDS: queued again then. One process ticks for all, for thousands may wait
  due=$((ticks + $2 + (pausing > 0)))
  eval "s_$1=b due_$due=\"\${due_$due-} \$1\""
  pausing=$((pausing + 1))
  [ $pausing -gt 1 ] || tick
}

tick() { ( sleep 1 3>&- 4>&-; echo "tick $$" >&3 ) 6>&- 7>&- 9>&- & }

ticked() { # RUNNER
  [ "$1" = $$ ] || return                                 # a dead one's
  ticks=$((ticks + 1))
  eval "keys=\${due_$ticks-}; unset due_$ticks"
  for key in $keys; do
    pausing=$((pausing - 1))
    eval "s=\$s_$key"
    [ "$s" != b ] || enqueue "$key"
  done
  [ $pausing -eq 0 ] || tick
}

finish() { # KEY CODE WORD, and all that can now never run: a list, for a chain may be longer than the shell's stack
  settle "$1" "$2" "$3"
  while [ $dhead -lt $dtail ]; do
    eval "key=\$d_$dhead; unset d_$dhead"
    dhead=$((dhead + 1))
    load "$key"
    case $s in w*) leave "$d$a" 75 skipped; settle "$key" 75 skipped ;; esac
  done
}

settle() { # KEY CODE WORD, loaded
  open=$((open - 1))
  case $2,$3 in 0,exit) e=ok ;; *,skipped) e=skipped ;; *) e=failed ;; esac
  eval "s_$1=$e kids=\${kids_$1-}"
  [ -z "$kids" ] || unset "kids_$1"
  unset "j_$1"
  echo "end $1 $a $2 $3" >&4
  [ "$3" != withdrawn ] || return 0
  for kid in $kids; do judge "${kid%%:*}" "${kid#*:}" $e; done
}

judge() { # KEY KIND END-OF-ITS-PARENT
  eval "s=\$s_$1"
  case $s in w*) ;; *) return ;; esac
  case $2,$3 in
    any,* | ok,ok | failed,failed) [ $s = w1 ] && enqueue "$1" || eval "s_$1=w$((${s#w} - 1))" ;;
    *) eval "d_$dtail=\$1"; dtail=$((dtail + 1)) ;;
  esac
}

alive() { # FOLDER: might processes of this attempt live? sets pid
  [ -s "$1/claim" ] || sleep 1 3>&- 4>&- 9>&-               # it is being written, or its writer died over it
  { read -r pid since boot <"$1/claim"; } 2>/dev/null || return 1
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

outlive() { # KEY: nobody waits for its processes; do, then look for evidence again
  load "$1"
  alive "$d$a" || { ended "$1" "$a" lost; return; }
  ( while [ ! -s "$d$a/rc" ] && kill -0 "-$pid" 2>/dev/null; do sleep 1 3>&- 4>&-; done
    echo "done $1 $a lost" >&3 ) 6>&- 7>&- 9>&- &
}

look() { # whoever waits for a worker, or for what outlived it, may have been killed, and never tells of the end
  for key in $running; do
    load "$key"
    [ -s "$d$a/claim" ] || continue                         # a worker is about to claim it
    evidence "$d$a" || ! alive "$d$a" || continue
    ended "$key" "$a" lost
  done
}

# -- what is asked of the queue ---------------------------------------------------------------------------------------
add() { # KEY ATTEMPT RETRIES BACKOFF DEPENDENCIES FOLDER/
  case $1 in '' | *[!a-z0-9_]*) return ;; esac
  case $2$3$4 in '' | *[!0-9]*) return ;; esac
  eval "s=\${s_$1-}"
  case $s in '' | ok | failed | skipped) ;; *) tell "$1" "$2"; return ;; esac       # what has ended is told by its evidence
  open=$((open + 1)) a=$2
  eval "j_$1=\"\$2 \$2 \$((\$2 + \$3)) \$4 \$6\""
  if [ -e "$6$2/claim" ] || [ -e "$6$2/rc" ]; then resume "$1"
  elif [ ! -e "$6$2/spec" ]; then finish "$1" 75 lost       # its run was deleted: it is among what a dead runner had taken
  elif [ -e "$6"cancel ]; then leave "$6$2" 75 cancelled; finish "$1" 75 cancelled
  elif [ "$5" = - ]; then enqueue "$1"
  else depend "$1" "$5"; fi
}

depend() { # KEY DEPENDENCIES
  kid=$1 need=0 doomed=
  IFS=,; set -- $2; unset IFS
  for parent; do
    kind=ok
    case $parent in *:*) kind=${parent#*:} parent=${parent%%:*} ;; esac
    eval "s=\${s_$parent-}"
    case $kind,$s in
      any,ok | any,failed | any,skipped | ok,ok | failed,failed) ;;
      *,ok | *,failed | *,skipped | *,) doomed=1 ;;
      *) need=$((need + 1)); eval "kids_$parent=\"\${kids_$parent-} \$kid:\$kind\"" ;;
    esac
  done
  eval "s_$kid=w$need"
  if [ -n "$doomed" ]; then load "$kid"; leave "$d$a" 75 skipped; finish "$kid" 75 skipped
  elif [ $need = 0 ]; then enqueue "$kid"; fi
}

resume() { # KEY: an attempt that was touched before this runner lived
  load "$1"
  i=$a
  while begun "$1" $i; do i=$((i + 1)); done
  advance "$1" || { finish "$1" "$code" "$word"; return; }
  [ -e "$d$a/claim" ] || { enqueue "$1"; return; }
  occupy "$1"
  outlive "$1"
}

begun() { # KEY ATTEMPT, loaded: tells that it began, if it did
  { read -r pid stat <"$d$2/claim"; } 2>/dev/null && echo "start $1 $2 $pid" >&4
}

tell() { # KEY ATTEMPT, open and asked for once more: how the attempts from that one on began, and those before the present one ended
  load "$1"
  i=$2
  while [ "$i" -le "$a" ]; do
    begun "$1" "$i"
    [ "$i" -eq "$a" ] || ! evidence "$d$i" || echo "fail $1 $i $code $word" >&4
    i=$((i + 1))
  done
}

cancel() { # KEY GRACE
  load "$1"
  case $s in
    w* | r | b) : >"$d"cancel; leave "$d$a" 75 cancelled; finish "$1" 75 cancelled ;;
    x)
      : >"$d"cancel
      alive "$d$a" || return
      kill -TERM "-$pid" 2>/dev/null
      ( sleep "$2"; evidence "$d$a" || ! alive "$d$a" || kill -KILL "-$pid" ) 2>/dev/null 3>&- 4>&- 6>&- 7>&- 9>&- & ;;
  esac
}

withdraw() { # KEY
  load "$1"
  case $s in
    w* | r) leave "$d$a" 75 withdrawn; finish "$1" 75 withdrawn ;;
    x | b) echo "kept $1 $a" >&4 ;;
  esac
}

resize() { case $1 in '' | 0* | *[!0-9]*) ;; *) free=$((free + $1 - slots)); slots=$1 ;; esac; }

take() { # FILE
  while read -r verb a1 a2 a3 a4 a5 a6; do
    case $verb in
      add) add "$a1" "$a2" "$a3" "$a4" "$a5" "$a6" ;;
      cancel) cancel "$a1" "${a2:-10}" ;;
      withdraw) withdraw "$a1" ;;
      slots) resize "$a1" ;;
    esac
  done <"$1"
}

accept() { # FILE: into taken/ first, so that a successor finds it whenever this process ends
  [ -f "$1" ] && mv "$1" taken/ && take "taken/${1##*/}"
}

for batch in taken/*; do [ ! -f "$batch" ] || take "$batch"; done
for batch in inbox/*; do accept "$batch"; done
while :; do
  fill
  if [ $open -eq 0 ]; then
    rmdir inbox 2>/dev/null && break
    [ -d inbox ] || break                                 # the whole folder was removed
    for batch in inbox/*; do accept "$batch"; done
    continue
  fi
  read -r verb x y z w <&3
  case $verb in
    done) ended "$x" "$y" "$z"; [ -z "$w" ] || released "$w" ;;
    take) accept "inbox/$x" ;;
    look) look ;;
    tick) ticked "$x" ;;
    idle) case $x in $$_*) awaited=$((awaited - 1)) ;; esac; released "$x" ;;
    gone) gone "$x" ;;
  esac
done
dismiss
rm -rf taken ready
