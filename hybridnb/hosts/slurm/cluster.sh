# cluster.sh: what a Slurm host does for a submitter, and what batch.sh needs of it; sourced, never run.
#   $programs  the folder of this file        $run  a run's folder there: RUN/NUMBER/ATTEMPT/ are its attempts, unless
#     RUN/at/NUMBER  says where else the job's folder is
#   RUN/units/TOKEN/   a unit: what one sbatch starts under the name hn-TOKEN, an attempt or an array of them
#     list        a line for each: KEY ATTEMPT RETRIES BACKOFF DEPENDENCIES; a task of an array finds its own by its number
#     options     what sbatch is given, for eval; "array=array;" first makes it an array. From then on the unit is what it is, and its attempts belong to no other
#     submitting  sbatch may have been called: without an id, nobody knows      absent   since when Slurm knows nothing of it
#     id          "ID" or "ID array": what sbatch said, or what was found by the name; "-" when it was skipped
#   ATTEMPT/unit  "TOKEN INDEX"    ATTEMPT/{start,fail,retry,end}   and, until its submitter has read it, RUN/events/KEY.ATTEMPT.VERB:
#     VERB KEY ATTEMPT CODE WORD NATIVE TIME .        the dot is the end: a torn line has none
#   ATTEMPT/kids  "KEY KIND" of what waits for it, so that what can never run is skipped while nobody is connected
#   KEY is …_NUMBER_FIRST, the attempt that was handed over; DEPENDENCIES: "-" or KEY:ok|any|failed,…
# What is told on standard output: in KEY TOKEN INDEX | id TOKEN ID [array] | refused, later, unsure or down TOKEN WORDS | skipped TOKEN
#   kept KEY ATTEMPT | gone KEY | log KEY WORDS | config NAME VALUE | scancel WORDS | the lines of events

scrub() { # what an outer job left in the environment would rule our own;  SBATCH_… stay: they are what the user set
  for name in $(env | sed -n 's/^\(SLURM_[A-Za-z0-9_]*\)=.*/\1/p'); do [ "$name" = SLURM_CONF ] || unset "$name"; done
  moment=$(date +%s)                                      # one for all that is told in a conversation
}

# -- folders and evidence ---------------------------------------------------------------------------------------------
locate() { # KEY: sets first and d, the job's folder
  first=${1##*_} number=${1%_*}
  number=${number##*_}
  { IFS= read -r d <"$run/at/$number"; } 2>/dev/null || d=$run/$number/
}

put() { # KEY FOLDER/: the job's folder is that
  number=${1%_*}
  number=${number##*_}
  [ -s "$run/at/$number" ] || { [ -d "$run/at" ] || mkdir -p "$run/at"; echo "$2" >"$run/at/$number"; }
}

keep() { # FILE TEXT; a full disk delays it
  until { echo "$2" >"$1"; } 2>/dev/null && [ -s "$1" ]; do
    [ -d "${1%/*}" ] || return 0                          # the run was deleted: nobody wants it any more
    sleep 2
  done
}

tell() { # VERB KEY ATTEMPT CODE WORD NATIVE, located
  line="$1 $2 $3 $4 $5 $6 ${moment:-$(date +%s)} ."
  keep "$d$3/$1" "$line"
  keep "$run/events/$2.$3.$1" "$line"
}

outcome() { # KEY: sets e to ok, failed or skipped; empty while it has not ended, as far as can be told here
  locate "$1"
  at=$first e=
  while [ -d "$d$at" ]; do
    if { read -r line <"$d$at/end"; } 2>/dev/null; then
      case $line in *' 0 exit '* | *' 0 killed '*) e=ok ;; *' skipped '*) e=skipped ;; *' killed '*) ;; *) e=failed ;; esac
      return
    fi
    at=$((at + 1))
  done
}

edges() { # DEPENDENCIES: sets open, those that have not ended, and doomed, when one has ended otherwise than asked
  open='' doomed=''
  [ "$1" != - ] || return 0
  IFS=,; set -- $1; unset IFS
  for edge; do
    outcome "${edge%:*}"
    case ${edge#*:},$e in
      *,) open="$open $edge" ;;
      any,* | ok,ok | failed,failed) ;;
      *) doomed=1 ;;
    esac
  done
}

claim() { # FOLDER OWNER: fails when somebody has it, and sets owner
  set -C
  { echo "$2" >"$1/claim"; } 2>/dev/null && { set +C; return 0; }
  set +C
  [ -s "$1/claim" ] || sleep 1                            # it is being written, or its writer died over it
  { read -r owner rest <"$1/claim"; } 2>/dev/null || owner=
  return 1
}

seize() { # KEY ATTEMPT WORD: ends an attempt that has not begun; fails when it has
  locate "$1"
  [ -d "$d$2" ] && [ -d "$run/events" ] || mkdir -p "$d$2" "$run/events"
  claim "$d$2" "- $3" || [ "$owner" = - ] || return 1
  [ ! -s "$d$2/end" ] || return 0
  keep "$d$2/rc" "75 $3"
  tell end "$1" "$2" 75 "$3" -
}

leave() { # KEY ATTEMPT CODE WORD: evidence for what ended without a word of its own
  locate "$1"
  claim "$d$2" "- $4" || :
  [ ! -s "$d$2/end" ] || return 0
  tell end "$1" "$2" "$3" "$4" -
}

# -- submission -------------------------------------------------------------------------------------------------------
begin() { # TOKEN: of a unit that may be new
  token=$1 unit=$run/units/$1 count=0 sealed=''
  [ -d "$unit" ] && [ -d "$run/events" ] || mkdir -p "$unit" "$run/events"
  if [ -s "$unit/options" ]; then sealed=1; else exec 3>"$unit/list"; fi
}

task() { # KEY ATTEMPT RETRIES BACKOFF DEPENDENCIES: one more for the unit, unless it is known
  peek "$1" && return
  [ -z "$sealed" ] || return 0
  [ -e "$d$2/spec" ] || { echo "gone $1"; return; }
  count=$((count + 1))
  echo "$token $count" >"$d$2/unit" && echo "$*" >&3 && echo "in $1 $token $count"
}

send() { # OPTIONS, quoted for eval: submits the unit, if there is anything in it
  [ -n "$sealed" ] || exec 3>&-
  [ $count -gt 0 ] || return 0
  echo "$1" >"$unit/options"
  launch "$token" "$1"
}

peek() { # KEY: if it has been seen here, tells how it stands; fails if not
  locate "$1"
  if { read -r owner index <"$d$first/unit"; } 2>/dev/null && [ -s "$run/units/$owner/options" ]; then
    echo "in $1 $owner $index"
    case " $again " in *" $owner "*) ;; *) again="$again $owner"; launch "$owner" ;; esac
  elif [ ! -s "$d$first/claim" ]; then return 1; fi
  locate "$1"
  at=$first
  while [ -d "$d$at" ]; do
    for verb in start fail end retry; do
      { read -r line <"$d$at/$verb"; } 2>/dev/null && echo "$line"
    done
    at=$((at + 1))
  done
}

launch() { # TOKEN [OPTIONS]: submits a unit once, however often it is asked
  place=$run/units/$1
  if { read -r id array <"$place/id"; } 2>/dev/null; then echo "id $1 $id $array"; return; fi
  [ -z "$down" ] || { echo "down $1 $down"; return; }
  [ ! -e "$place/submitting" ] || adopt "$1" || return 0
  read -r key attempt retries backoff after <"$place/list" || return 0
  [ "$after" = - ] || enrol "$after"                      # before the parents are looked at: none can end unnoticed
  edges "$after"
  if [ -n "$doomed" ]; then skip "$1"; return; fi
  natively $open || { echo "later $1 it waits for a job that is not submitted yet"; return; }
  name=$1 array='' dependency=''
  eval "${2:-$(cat "$place/options")}"
  dependency=$wanted${dependency:+,$dependency}
  [ -z "$array" ] || set -- "$@" "--array=1-$(grep -c '' "$place/list")"
  [ -z "$dependency" ] || set -- "$@" "--dependency=${dependency#,}"
  : >"$place/submitting"
  sent "$name" --parsable "$@"
  case $words in *parsable*) sent "$name" "$@" ;; esac
  judge "$name"
}

enrol() { # DEPENDENCIES: what is in the list waits for these
  IFS=,; set -- $1; unset IFS
  for edge; do
    locate "${edge%:*}"
    while read -r key rest; do echo "$key ${edge#*:}"; done <"$place/list" >>"$d$first/kids"
  done
}

natively() { # EDGE…: sets wanted, the same in Slurm's words; fails when a parent has no id
  wanted=
  for edge; do
    locate "${edge%:*}"
    { read -r owner index <"$d$first/unit" && read -r id array <"$run/units/$owner/id"; } 2>/dev/null || return 1
    case ${edge#*:} in any) kind=afterany ;; failed) kind=afternotok ;; *) kind=afterok ;; esac
    wanted="$wanted,$kind:$id${array:+_$index}"
  done
}

sent() { # TOKEN OPTION…: calls sbatch; sets id, code and words
  sending=$1
  shift
  said=$(sbatch "$@" "$programs/batch.sh" "$programs" "$run" "$sending" 2>"$place/refusal" </dev/null; echo "= $?")
  words='' id='' code=''
  [ ! -s "$place/refusal" ] || words=$(tr '\n\t' '  ' <"$place/refusal")
  while IFS= read -r line; do                             # a number that is cut off has the "=" in its line
    case $line in
      '= '*) code=${line#= } ;;
      'Submitted batch job '*) id=${line#Submitted batch job }; id=${id%% *} ;;
      *) case ${line%%;*} in '' | *[!0-9]*) ;; *) id=${line%%;*} ;; esac ;;
    esac
  done <<END
$said
END
}

judge() { # TOKEN: what is to be held of sbatch's answer. An id counts, whatever else it said
  case $id in
    '' | *[!0-9]*) ;;
    *) known "$1" "$id"; return ;;
  esac
  case ${code:-0},$words in
    *,*'nable to contact'*) down=$words; rm -f "$place/submitting"; echo "down $1 $words"; return ;;
    0,* | 1[2-9]?,* | *, | *'imed out'* | *'ero Bytes'* | *ommunication* | *'nexpected message'* | *'eader length'* | *'ransport endpoint'* | *'eset by peer'*)
      echo "unsure $1 $words" ;;
    *) rm -f "$place/submitting" "$place/options"; echo "refused $1 $words" ;;
  esac
}

known() { # TOKEN ID
  read -r line <"$place/options"
  case $line in 'array=array;'*) array=array ;; *) array='' ;; esac
  keep "$place/id" "$2 $array"
  echo "id $1 $2 $array"
  read -r key attempt retries backoff after <"$place/list"
  edges "$after"
  [ -z "$doomed" ] || { skip "$1"; scancel "$2"; }
}

adopt() { # TOKEN: it may have been submitted. Succeeds when it was not, for sure, and is to be submitted now
  while read -r key attempt rest; do
    locate "$key"
    { read -r owner native rest <"$d$attempt/claim"; } 2>/dev/null || continue
    case $owner in *[0-9]) known "$1" "${native%_*}"; return 1 ;; esac
  done <"$place/list"
  said=$(squeue -h -t all -u "$(id -u)" -n "hn-$1" -o %F 2>&1) || { echo "unsure $1 $said"; return 1; }
  for id in $said; do
    case $id in *[!0-9]*) ;; *) known "$1" "$id"; return 1 ;; esac
  done
  now=$(date +%s)
  { read -r since <"$place/absent"; } 2>/dev/null || { since=$now; echo "$now" >"$place/absent"; }
  [ $((now - since)) -ge "$patience" ] || { echo "unsure $1 Slurm knows nothing of it so far"; return 1; }
  rm -f "$place/submitting" "$place/absent"
}

skip() { # TOKEN
  [ -s "$place/id" ] || keep "$place/id" -
  while read -r key attempt rest; do seize "$key" "$attempt" skipped; cat "$d$attempt/end"; done <"$place/list"
  echo "skipped $1"
}

# -- stopping ---------------------------------------------------------------------------------------------------------
stop() { # WORD KEY ATTEMPT ID|-: cancelled withdrawn skipped
  locate "$2"
  [ "$1" != cancelled ] || { [ -d "$d" ] || mkdir -p "$d"; : >"${d}cancel"; }
  if seize "$2" "$3" "$1" || [ "$1" = cancelled ]; then
    if [ "$4" != - ]; then ids="$ids $4"; else unnumbered; fi
  else
    echo "kept $2 $3"
  fi
}

unnumbered() { # located: its submitter has not heard its number, and perhaps nobody has
  { read -r owner index <"$d$first/unit"; } 2>/dev/null || return 0
  if { read -r id array <"$run/units/$owner/id"; } 2>/dev/null; then ids="$ids $id${array:+_$index}"
  else case $(cat "$run/units/$owner/options") in 'array=array;'*) ;; *) names="$names hn-$owner" ;; esac; fi
}

halt() { # all that was stopped. Slurm forgets what has ended: only a controller that cannot be asked counts
  [ -z "$ids" ] || said=$(printf '%s\n' $ids | xargs -n 100 scancel 2>&1) || echo "scancel" $said
  for name in $names; do said=$(scancel -u "$(id -u)" -n "$name" 2>&1) || echo "scancel" $said; done
}

doom() { # KEY ok|failed: skips what waits for another end of it, and what waits for that
  doomed=$1:$2 names=''
  while [ -n "$doomed" ]; do
    set -- $doomed
    outcome=${1#*:}
    locate "${1%:*}"
    shift
    doomed=$*
    [ -s "$d$first/kids" ] || continue
    while read -r kid kind; do
      case $kind,$outcome in any,* | ok,ok | failed,failed) continue ;; esac
      seize "$kid" "${kid##*_}" skipped || continue
      doomed="$doomed $kid:skipped"
      { read -r owner index <"$d$first/unit" && read -r id array <"$run/units/$owner/id"; } 2>/dev/null || continue
      case " $ids " in *" $id "*) ;; *) ids="$ids $id" ;; esac       # its whole unit waits for the same
    done <"$d$first/kids"
  done
  halt
}

# -- asking -----------------------------------------------------------------------------------------------------------
config() {
  command -v sbatch >/dev/null || { echo "config none"; return; }
  said=$(scontrol show config 2>&1)
  case $said in
    *SLURM_VERSION*) ;;
    *) echo "config down" $said; return ;;
  esac
  echo "$said" | sed -n 's/^\(MaxArraySize\|SLURM_VERSION\) *= \(.*\)/config \1 \2/p'
}

settle() { tr '\n' '\0' | xargs -0 rm -f; } # events that have been read: their names are on standard input

look() { # never|ends|always IDS RUN…
  ask=$1 vanished=$2
  shift 2
  if [ "$ask" = ends ]; then
    for run; do
      for name in "$run"/events/*.end; do [ ! -e "$name" ] || ask=always; break; done
    done
  fi
  [ "$ask" != always ] || queue
  [ -z "$vanished" ] || accounts "$vanished"
  for run; do
    [ ! -d "$run/events" ] || find "$run/events" -type f -exec cat {} +
  done
}

log() { # KEY: what Slurm or batch.sh wrote of it
  locate "$1"
  { read -r owner index <"$d$first/unit"; } 2>/dev/null || return 0
  [ -e "$run/units/$owner/log.$index" ] && index=.$index || index=''
  echo "log $1" $(tail -n 2 "$run/units/$owner/log$index" 2>/dev/null | tr -d '*?[')
}

queue() { # the name is ours, so that no other field can be mistaken; the reason is the last, for it may hold anything
  { squeue -h -r -t all -u "$(id -u)" -o '%j|%F|%K|%T|%S|%N|%r' 2>&1; echo "= squeue $?"; } |
    grep -e '^hn-' -e '^= ' -e rror -e able
}

accounts() { # IDS
  { sacct -X -n -P -S 2020-01-01 -j "$1" -o JobName,JobID,State,ExitCode 2>&1; echo "= sacct $?"; } |
    grep -e '^hn-' -e '^= ' -e rror -e able
}

down='' again='' ids='' names='' moment=''
