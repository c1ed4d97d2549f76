#!/bin/bash
# What the four Slurm hooks beside this file share. It is sourced and does nothing by itself: where a
# `Prolog=/etc/slurm/prolog.d/*` runs it as a hook, that must be harmless. docs/slurm.md
#
# The rules: exit 0 and under 5 s whatever is broken; nothing but bash (4.4 or newer), curl and the
# usual file commands; the token never in an argument, where `ps` would show it; an event that could
# not be sent stays in the spool.
# shellcheck disable=SC2034  # variables that only the hooks read

(return 0 2>/dev/null) || exit 0
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    printf 'tsobs: bash %s is too old; nothing is told\n' "$BASH_VERSION" >&2
    exit 0
fi

# Hundredths of a second since the start. Asking ends early enough for sending; the worker ends by
# itself at its deadline; one that hangs is left behind.
readonly ASKING_CS=200 WORKER_CS=350 SUPERVISOR_CS=400
# The most for one question.
readonly JSON_CS=120 TEXT_CS=80 GPU_CS=150
readonly ANSWER_BYTES=524288 ERROR_BYTES=16384
# The service takes texts of 1,024 characters and names of 255.
readonly TEXT_BYTES=1000 NAME_BYTES=255 MOST_NODES=100000
readonly SPOOL_FILES=2000 SPOOL_BYTES=67108864 REFUSED_FILES=100 FLUSH_FILES=20 CLAIM_S=60
readonly NOTE_DAYS=90 LOG_BYTES=4194304
# So many nodes of a job talk to the service at once; what the others say goes to the spool.
readonly SPEAKING_NODES=32
readonly SETTINGS=(URL API_URL TIMEOUT TOKEN_FILE CA_FILE CLUSTER LOG SPOOL STATE PATH SCONTROL ASK_AGAIN PROC_ROOT GPUSTAT DCGM_DIR)

# ---- life of a hook

# run_hook NAME FUNCTION: runs FUNCTION in a worker, tells on stderr what that could not log, exits 0.
run_hook() {
    HOOK=$1
    # A full pipe or a file limit is an error of the write, not the end of the hook.
    trap '' PIPE XFSZ
    trap 'exit 0' TERM INT HUP
    local fd line limit
    clock
    STARTED=$REPLY
    # A worker may hang in the kernel (a dead network file system): it is never waited for.
    exec {fd}< <(worker "$2" 2>&1 </dev/null)
    local pid=$!
    while clock && limit=$((SUPERVISOR_CS - REPLY + STARTED)) && ((limit > 0)); do
        seconds "$limit"
        IFS= read -r -t "$REPLY" -u "$fd" line || break
        printf 'tsobs: %s\n' "$line" >&2
    done
    clock
    if ((REPLY - STARTED >= SUPERVISOR_CS)); then
        kill -KILL "$pid" 2>/dev/null
    fi
    exit 0
}

worker() {
    DEADLINE=$((STARTED + ASKING_CS))
    trap - TERM INT HUP
    set -u
    load_settings
    "$1"
}

# load_settings: the environment wins over the file.
load_settings() {
    local name config=${OBSERVABILITY_CONFIG:-/etc/tsobs/hooks.conf}
    local -A given=()
    for name in "${SETTINGS[@]}"; do
        name=OBSERVABILITY_$name
        [[ -z ${!name:-} ]] || given[$name]=${!name}
    done
    if [[ -r $config && ! -d $config ]]; then
        set +u
        # shellcheck source=/dev/null
        . "$config" || log "$config: it has an error"
        set -u
    fi
    for name in "${!given[@]}"; do
        printf -v "$name" '%s' "${given[$name]}"
    done
    # After the file, which may have changed them.
    export LC_ALL=C TZ=UTC
    IFS=$' \t\n'
    umask 077
    shopt -s nullglob
    set +ef
    PATH=${OBSERVABILITY_PATH:+$OBSERVABILITY_PATH:}/usr/sbin:/usr/bin:/sbin:/bin
    export PATH=$PATH:/usr/local/sbin:/usr/local/bin:/opt/slurm/bin
    API=${OBSERVABILITY_URL:-${OBSERVABILITY_API_URL:-http://127.0.0.1:8080}}
    while [[ $API == */ ]]; do API=${API%/}; done
    TIMEOUT_CS=200
    if [[ ${OBSERVABILITY_TIMEOUT:-} =~ ^0*([0-9]{1,4})(\.([0-9]{1,2})[0-9]*)?$ ]]; then
        local cents=${BASH_REMATCH[3]:-0}0
        TIMEOUT_CS=$((10#${BASH_REMATCH[1]} * 100 + 10#${cents:0:2}))
        ((TIMEOUT_CS > 0)) || TIMEOUT_CS=200
    elif [[ -n ${OBSERVABILITY_TIMEOUT:-} ]]; then
        log "OBSERVABILITY_TIMEOUT is not a number of seconds; 2 is taken"
    fi
    TOKEN_FILE=${OBSERVABILITY_TOKEN_FILE:-/etc/tsobs/hooks.token}
    SPOOL=${OBSERVABILITY_SPOOL:-/var/spool/tsobs/events}
    STATE=${OBSERVABILITY_STATE:-/run/tsobs/jobs}
    GPUSTAT=${OBSERVABILITY_GPUSTAT:-/run/gpustat}
    DCGM_DIR=${OBSERVABILITY_DCGM_DIR:-}
    CLUSTER=${OBSERVABILITY_CLUSTER:-${SLURM_CLUSTER_NAME:-}}
    [[ $CLUSTER != '(null)' ]] || CLUSTER=
}

# clock: hundredths of a second since the boot, on a clock that is never set.
clock() {
    if read -r REPLY _ 2>/dev/null </proc/uptime && [[ $REPLY =~ ^([0-9]+)\.([0-9][0-9])$ ]]; then
        REPLY=$((10#${BASH_REMATCH[1]}${BASH_REMATCH[2]}))
    else
        REPLY=$((SECONDS * 100))
    fi
}

# left: what remains for asking, or later for sending, in hundredths of a second.
left() {
    clock
    REPLY=$((DEADLINE - REPLY))
}

# seconds CS: hundredths of a second as seconds.
seconds() {
    printf -v REPLY '%d.%02d' $(($1 / 100)) $(($1 % 100))
}

# now_s: seconds since 1970.
now_s() {
    printf -v REPLY '%(%s)T' -1
}

# log TEXT: one line in the log; where that is not to be had, on stderr.
log() {
    local file=${OBSERVABILITY_LOG:-} text=${1//[[:cntrl:]]/ } line size
    if [[ -z $file ]]; then
        file=/var/log/tsobs/hooks.log
        [[ $HOOK != *_slurmctld ]] || file=/var/log/tsobs/slurmctld-hooks.log
    fi
    TZ=UTC printf -v line '%(%Y-%m-%dT%H:%M:%SZ)T %s[%d] job %s: %s' \
        -1 "$HOOK" "$$" "${JOB:--}" "$text"
    [[ -d ${file%/*} ]] || mkdir -p -- "${file%/*}" 2>/dev/null
    if size=$(stat -c %s -- "$file" 2>/dev/null) && ((size > LOG_BYTES)); then
        mv -f -- "$file" "$file.1" 2>/dev/null
    fi
    { printf '%s\n' "$line" >>"$file"; } 2>/dev/null || printf '%s\n' "$line"
}

# capture CS BYTES COMMAND…: its output in REPLY; 1 when it came too late or is too much, 127 when
# there is no such program. What hangs is killed, and not waited for.
capture() {
    local limit=$1 most=$2 fd pid text status
    shift 2
    left
    ((REPLY >= limit)) || limit=$REPLY
    REPLY=
    ((limit > 0)) || return 1
    case $(type -t "$1") in
        file) exec {fd}< <(exec "$@" 2>/dev/null) ;;
        function) exec {fd}< <("$@" 2>&1) ;;
        *) return 127 ;;
    esac
    pid=$!
    seconds "$limit"
    IFS= read -r -N "$most" -t "$REPLY" -u "$fd" text
    status=$?
    exec {fd}<&-
    # 1 is the end of the output; 0 is as much as was allowed, and so maybe not all.
    ((status == 1)) || { kill -KILL "$pid" 2>/dev/null; REPLY=; return 1; }
    REPLY=$text
}

# ---- files that say which job holds which GPU

# note_gpus UUID…: `<job id> <uid>` in /run/gpustat/<UUID>, as jobstats has it, and job ids by NVIDIA's
# index where DCGM's mapping is read. A GPU that jobs share has a line for each.
note_gpus() {
    local device line
    forget_gpus
    [[ $GPUSTAT != none ]] || return 0
    [[ -d $GPUSTAT ]] || (umask 022 && mkdir -p -- "$GPUSTAT") 2>/dev/null
    for device; do
        [[ $device =~ ^(GPU|MIG)-[0-9A-Za-z-]+$ ]] || continue
        (umask 022 && printf '%s %s\n' "$JOB" "${SLURM_JOB_UID:-0}" >>"$GPUSTAT/$device") 2>/dev/null ||
            { log "$GPUSTAT/$device cannot be written"; return 0; }
    done
    [[ -n $DCGM_DIR && -d $DCGM_DIR ]] || return 0
    capture "$GPU_CS" 65536 nvidia-smi --query-gpu=index,uuid --format=csv,noheader
    while IFS= read -r line; do
        [[ $line =~ ^([0-9]+),\ *(GPU-[0-9A-Za-z-]+)$ && " $* " == *" ${BASH_REMATCH[2]} "* ]] || continue
        (umask 022 && printf '%s\n' "$JOB" >>"$DCGM_DIR/${BASH_REMATCH[1]}") 2>/dev/null
    done < <(printf '%s\n' "$REPLY")
}

# forget_gpus: takes this job's lines out of those files again.
forget_gpus() {
    local file line rest mine
    for file in "$GPUSTAT"/{GPU,MIG}-* ${DCGM_DIR:+"$DCGM_DIR"/[0-9]*}; do
        [[ -f $file && ! -L $file ]] || continue
        rest='' mine=''
        while IFS= read -r line; do
            if [[ $line == "$JOB" || $line == "$JOB "* ]]; then mine=yes; else rest+=$line$'\n'; fi
        done 2>/dev/null <"$file"
        [[ -n $mine ]] || continue
        if [[ -z $rest ]]; then
            rm -f -- "$file" 2>/dev/null
        else
            { printf '%s' "$rest" >"$file"; } 2>/dev/null
        fi
    done
}

# ---- JSON, written

# repair_text TEXT: broken UTF-8 becomes U+FFFD, byte by byte.
repair_text() {
    REPLY=$1
    [[ $1 == *[$'\x80'-$'\xff']* ]] || return 0
    local rest=$1 out='' n
    while [[ -n $rest ]]; do
        case $rest in
            [$'\x01'-$'\x7f']*) n=1 ;;
            [$'\xc2'-$'\xdf'][$'\x80'-$'\xbf']*) n=2 ;;
            $'\xe0'[$'\xa0'-$'\xbf'][$'\x80'-$'\xbf']*) n=3 ;;
            $'\xed'[$'\x80'-$'\x9f'][$'\x80'-$'\xbf']*) n=3 ;;
            [$'\xe1'-$'\xec'$'\xee'$'\xef'][$'\x80'-$'\xbf'][$'\x80'-$'\xbf']*) n=3 ;;
            $'\xf0'[$'\x90'-$'\xbf'][$'\x80'-$'\xbf'][$'\x80'-$'\xbf']*) n=4 ;;
            [$'\xf1'-$'\xf3'][$'\x80'-$'\xbf'][$'\x80'-$'\xbf'][$'\x80'-$'\xbf']*) n=4 ;;
            $'\xf4'[$'\x80'-$'\x8f'][$'\x80'-$'\xbf'][$'\x80'-$'\xbf']*) n=4 ;;
            *) n=0 ;;
        esac
        if ((n)); then
            out+=${rest:0:n}
            rest=${rest:n}
        else
            out+='\ufffd'
            rest=${rest:1}
        fi
    done
    REPLY=$out
}

# cut_text TEXT BYTES: its beginning, without half a character at the end.
cut_text() {
    REPLY=${1:0:$2}
    ((${#1} > $2)) || return 0
    local n
    for n in 1 2 3; do
        case ${REPLY: -n:1} in
            [$'\xc0'-$'\xff']) REPLY=${REPLY:0:${#REPLY}-n} && return 0 ;;
            [$'\x80'-$'\xbf']) ;;
            *) return 0 ;;
        esac
    done
}

# json_text TEXT [BYTES]: a JSON string, whatever the bytes.
json_text() {
    local text slash=$'\\' quote='"' n code char
    cut_text "$1" "${2:-$TEXT_BYTES}"
    text=${REPLY//"$slash"/"$slash$slash"}
    text=${text//"$quote"/"$slash$quote"}
    if [[ $text == *[$'\x01'-$'\x1f']* ]]; then
        for ((n = 1; n < 32; n++)); do
            printf -v code 'u%04x' "$n"
            printf -v char '%b' "\\x${code:3}"
            text=${text//"$char"/"$slash$code"}
        done
    fi
    repair_text "$text"
    REPLY="\"$REPLY\""
}

# The event being written: BODY, without its closing brace.
put_raw() {
    [[ -z $2 ]] || BODY+="${BODY:+,}\"$1\":$2"
}
put_text() {
    [[ -n $2 ]] || return 0
    json_text "$2" "${3:-$TEXT_BYTES}"
    put_raw "$1" "$REPLY"
}
put_count() {
    [[ ! $2 =~ ^[0-9]{1,9}$ ]] || put_raw "$1" "$((10#$2))"
}
put_texts() {
    local key=$1 name list=''
    shift
    if [[ "$*" != *[!A-Za-z0-9._\ -]* ]]; then
        printf -v list ',"%s"' "$@"
    else
        for name in "$@"; do
            json_text "$name" "$NAME_BYTES"
            list+=,$REPLY
        done
    fi
    REPLY="[${list:1}]"
    put_raw "$key" "$REPLY"
}
# put_time KEY SECONDS: seconds since 1970; nothing for what is no such time.
put_time() {
    [[ ! $2 =~ ^[1-9][0-9]{8,9}$ ]] || printf -v REPLY '%(%Y-%m-%dT%H:%M:%SZ)T' "$2"
    [[ ! $2 =~ ^[1-9][0-9]{8,9}$ ]] || put_raw "$1" "\"$REPLY\""
}

# ---- the job in the environment

# read_job: JOB; fails, with a log line, where Slurm (or whoever runs the hook) did not name one.
read_job() {
    JOB=${SLURM_JOB_ID:-${SLURM_JOBID:-}}
    if [[ ! $JOB =~ ^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$ ]]; then
        JOB=
        log "SLURM_JOB_ID is not set (or odd); nothing is told"
        return 1
    fi
}

# begin_event SOURCE: what every event says. Its own time stays, however late it is sent.
begin_event() {
    BODY=
    put_text job_id "$JOB"
    now_s
    put_time timestamp "$REPLY"
    put_raw scheduler '"slurm"'
    put_text source "$1"
    put_text cluster "$CLUSTER" "$NAME_BYTES"
    put_text partition "${SLURM_JOB_PARTITION:-}"
}

# put_user: fails, with a log line, when nothing says whose job it is.
put_user() {
    local user=${SLURM_JOB_USER:-} uid=${SLURM_JOB_UID:-${SLURM_UID:-}}
    if [[ -z $user && $uid =~ ^[0-9]+$ ]] && capture 100 1024 id -nu "$uid"; then
        user=${REPLY%$'\n'}
    fi
    if [[ -z $user ]]; then
        log "no SLURM_JOB_USER, and no name for the uid; the start is not told"
        return 1
    fi
    put_text user "$user" "$NAME_BYTES"
}

# put_controller_facts: what only the slurmctld hooks are given.
put_controller_facts() {
    local account=${SLURM_JOB_ACCOUNT:-}
    [[ $account != '(null)' ]] || account=
    put_text name "${SLURM_JOB_NAME:-}"
    put_text account "$account"
    if [[ ${SLURM_ARRAY_TASK_ID:-} =~ ^[0-9]{1,9}$ ]]; then
        put_text array_job_id "${SLURM_ARRAY_JOB_ID:-}"
        put_text array_task_id "$SLURM_ARRAY_TASK_ID"
    fi
}

# array_id: the job as scontrol finds it alone: an array's last task has the id of the whole array.
array_id() {
    if [[ ${SLURM_ARRAY_JOB_ID:-} =~ ^[0-9]+$ && ${SLURM_ARRAY_TASK_ID:-} =~ ^[0-9]{1,9}$ ]]; then
        printf '%s_%s' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"
    else
        printf '%s' "$JOB"
    fi
}

# expand_nodes LIST: NODES, for `node[01-10,15],login1,a[1-2]b[3-4]`; fails for what is no such list.
expand_nodes() {
    local rest=$1 low high part
    local -a made=('') group more
    NODES=()
    while [[ -n $rest ]]; do
        group=()
        if [[ $rest =~ ^\[([0-9,-]+)\] ]]; then
            rest=${rest:${#BASH_REMATCH[0]}}
            for part in ${BASH_REMATCH[1]//,/ }; do
                [[ $part =~ ^([0-9]{1,9})(-([0-9]{1,9}))?$ ]] || return 1
                low=${BASH_REMATCH[1]} high=${BASH_REMATCH[3]:-$low}
                ((10#$high >= 10#$low && 10#$high - 10#$low < MOST_NODES)) || return 1
                # Digits only; a brace expansion keeps the zeros.
                eval "more=({$low..$high})"
                group+=("${more[@]}")
            done
        elif [[ $rest =~ ^[^][,]+ ]]; then
            group=("${BASH_REMATCH[0]}")
            rest=${rest:${#BASH_REMATCH[0]}}
        else
            return 1
        fi
        ((${#group[@]} * ${#made[@]} + ${#NODES[@]} <= MOST_NODES)) || return 1
        more=()
        for part in "${made[@]}"; do
            more+=("${group[@]/#/"$part"}")
        done
        made=("${more[@]}")
        case $rest in
            '') NODES+=("${made[@]}") ;;
            ,?*) NODES+=("${made[@]}") made=('') rest=${rest:1} ;;
            ,) return 1 ;;
        esac
    done
    ((${#NODES[@]} > 0))
}

# find_place: NODES, NODE (this one) and PLACE (its place in the list, from 0). SLURM_NODEID is not
# given to hooks, but a person may set it. A node that is not in the list speaks as the first would.
find_place() {
    local list=${SLURM_JOB_NODELIST:-${SLURM_NODELIST:-}} name n
    local -a names=()
    NODE=${SLURMD_NODENAME:-}
    names=("${NODE:-$HOSTNAME}")
    [[ -n $NODE ]] || names+=("${HOSTNAME%%.*}")
    if ! expand_nodes "$list"; then
        [[ -z $list ]] || log "the node list cannot be read: ${list:0:200}"
        NODES=("${names[0]}")
    fi
    PLACE=
    for name in "${names[@]}"; do
        for n in "${!NODES[@]}"; do
            [[ ${NODES[n]} == "$name" ]] && PLACE=$n NODE=$name && break 2
        done
    done
    : "${NODE:=${names[0]}}"
    if [[ ${SLURM_NODEID:-} =~ ^[0-9]{1,6}$ ]]; then
        PLACE=$((10#$SLURM_NODEID))
    fi
    : "${PLACE:=0}"
}

# ---- the controller's answer: JOB_SAYS, by scontrol's own names (`exit_code.signal.id.number`)

# json_value: takes down one value of the job that is being read (see read_json_job).
json_value() {
    local path
    ((depth >= 3)) && [[ ${keys[1]} == jobs ]] || return 0
    case ${keys[3]} in
        job_state) ((depth > 4)) || JOB_SAYS[job_state]+="${JOB_SAYS[job_state]:+ }$1" ;;
        job_id | name | account | qos | state_reason | tres_alloc_str | *_time | *exit_code | \
            time_limit | array_job_id | array_task_id | het_job_id | het_job_offset)
            path=${keys[3]}
            ((depth < 4)) || path+=.${keys[4]}
            ((depth < 5)) || path+=.${keys[5]}
            ((depth < 6)) || path+=.${keys[6]}
            JOB_SAYS[$path]=$1
            ;;
    esac
}

# read_json_job TEXT ID: of the jobs in an answer of `scontrol --json show job`, the one with this id
# (an array's answers for all its tasks). Strings stay escaped as they came. Cut at its quotes, a
# JSON text is by turns structure and string, so no value that a user chose can pass for a key.
read_json_job() {
    local IFS='"' depth=0 piece next text
    local -a pieces keys=('')
    set -f
    # shellcheck disable=SC2206  # cut at the quotes, on purpose
    pieces=($1)
    set +f
    JOB_SAYS=()
    local i=0 count=${#pieces[@]} value check=1000
    while ((i < count)); do
        if ((i > check)); then
            left
            ((check += 1000, REPLY > 0)) || return 1
        fi
        # Structure: brackets, commas, numbers; a colon means that the string before was a key.
        piece=${pieces[i]//[$' \t\r\n:']/}
        while [[ -n $piece ]]; do
            case $piece in
                [\{\[]*) ((++depth)) ; keys[depth]= ; piece=${piece:1} ;;
                [\}\]]*)
                    if ((depth == 3)) && [[ $piece == \}* && ${keys[1]} == jobs ]]; then
                        [[ ${JOB_SAYS[job_id]:-} != "$2" ]] || return 0
                        JOB_SAYS=()
                    fi
                    ((depth > 0)) || return 1
                    ((--depth)) ; piece=${piece:1} ;;
                ,*) piece=${piece:1} ;;
                *) value=${piece%%[],\}]*} ; json_value "$value" ; piece=${piece:${#value}} ;;
            esac
        done
        ((++i < count)) || return 1
        text=${pieces[i]}
        # A quote after an odd number of backslashes is part of the string.
        while [[ $text =~ (^|[^\\])(\\\\)*\\$ ]]; do
            ((++i < count)) || return 1
            text+="\"${pieces[i]}"
        done
        ((++i < count)) || return 1
        [[ ${pieces[i]} =~ ^[[:space:]]*: ]] || { json_value "$text"; continue; }
        keys[depth]=$text
        # Every core of every node, of which nothing is wanted: on to the key that follows.
        if ((depth == 3)) && [[ $text == job_resources ]]; then
            next=$i
            while ((++next < count)) && [[ ${pieces[next]} != job_state || ${pieces[next + 1]:-} != :* ]]; do :; done
            ((next >= count)) || { keys[depth]=job_state; i=$((next + 1)); }
        fi
    done
    return 1
}

# read_text_job TEXT ID: the same names from `scontrol show job`, which says less (all that there is
# before 24.11); times are UTC.
read_text_job() {
    local line n=0 mine=no
    JOB_SAYS=()
    while IFS= read -r line; do
        if [[ $line =~ ^JobId=([0-9]+)\  ]]; then
            mine=no
            [[ ${BASH_REMATCH[1]} != "$2" ]] || mine=yes
            [[ $mine == no || ! $line =~ \ ArrayJobId=([0-9]+)\ ArrayTaskId=([0-9]+)\  ]] ||
                JOB_SAYS[array_job_id]=${BASH_REMATCH[1]} JOB_SAYS[array_task_id]=${BASH_REMATCH[2]}
        fi
        [[ $mine == yes ]] || continue
        if [[ $line =~ ^\ +JobState=([A-Z_]+)\ Reason=([^ ]+) ]]; then
            JOB_SAYS[job_state]=${BASH_REMATCH[1]} JOB_SAYS[state_reason]=${BASH_REMATCH[2]}
            # A second one comes from a job's name or comment: nothing here is to be trusted then.
            ((++n == 1)) || { JOB_SAYS=(); return 1; }
        fi
        [[ ! $line =~ ^\ +Requeue=.*\ ExitCode=([0-9]+):([0-9]+) ]] ||
            JOB_SAYS[exit_code.return_code.number]=${BASH_REMATCH[1]} \
                JOB_SAYS[exit_code.signal.id.number]=${BASH_REMATCH[2]}
        [[ ! $line =~ ^\ +Priority=.*\ Account=([A-Za-z0-9_.@-]+)\  ]] || JOB_SAYS[account]=${BASH_REMATCH[1]}
        [[ ! $line =~ ^\ +Priority=.*\ QOS=([A-Za-z0-9_.@-]+)$ ]] || JOB_SAYS[qos]=${BASH_REMATCH[1]}
        [[ ! $line =~ ^\ +RunTime=.*\ TimeLimit=(([0-9]+)-)?([0-9]+):([0-9]+):[0-9]+\  ]] ||
            JOB_SAYS[time_limit]=$((10#${BASH_REMATCH[2]:-0} * 1440 + 10#${BASH_REMATCH[3]} * 60 + 10#${BASH_REMATCH[4]}))
        [[ ! $line =~ ^\ +SubmitTime=([0-9T:-]+)\  ]] || text_time submit_time
        [[ ! $line =~ ^\ +StartTime=([0-9T:-]+)\  ]] || text_time start_time
        [[ ! $line =~ ^\ +StartTime=.*\ EndTime=([0-9T:-]+)\  ]] || text_time end_time
        # Of a job without a time limit that is not over: later than any.
        [[ ! $line =~ ^\ +StartTime=.*\ EndTime=Unknown\  ]] || JOB_SAYS[end_time]=9999999999
        [[ ! $line =~ ^\ +(Alloc)?TRES=([^ ]+)$ ]] || JOB_SAYS[tres_alloc_str]=${BASH_REMATCH[2]}
    done < <(printf '%s\n' "$1")
    ((n == 1))
}
text_time() {
    local when
    when=$(date -u -d "${BASH_REMATCH[1]}" +%s 2>/dev/null) && JOB_SAYS[$1]=$when
}

# ask_controller ID: JOB_SAYS; fails when it could not be had in time. JSON tells the state below
# COMPLETING; text is short, however many nodes the job has.
ask_controller() {
    local id=$1
    declare -gA JOB_SAYS=()
    [[ ${OBSERVABILITY_SCONTROL:-yes} != no ]] || return 1
    export SLURM_TIME_FORMAT=standard SLURM_JSON=compact
    if capture "$JSON_CS" "$ANSWER_BYTES" scontrol --json show job "$id" &&
        read_json_job "$REPLY" "$JOB" && [[ ${JOB_SAYS[job_state]:-} != COMPLETING ]]; then
        return 0
    fi
    capture "$TEXT_CS" "$ANSWER_BYTES" scontrol show job "$id" && read_text_job "$REPLY" "$JOB"
}

# said NAME: a number of JOB_SAYS that is set, plain (22.05) or as {set, infinite, number}.
said() {
    REPLY=${JOB_SAYS[$1]:-}
    if [[ -z $REPLY && ${JOB_SAYS[$1.set]:-true} == true && ${JOB_SAYS[$1.infinite]:-} != true ]]; then
        REPLY=${JOB_SAYS[$1.number]:-}
    fi
    [[ $REPLY =~ ^[0-9]+$ ]] || REPLY=
}

# put_asked: what the controller's answer says of the job as a whole.
put_asked() {
    local key tres=,${JOB_SAYS[tres_alloc_str]:-}, unit
    for key in name account qos; do
        # Already escaped; a cut could halve an escape.
        if [[ -n ${JOB_SAYS[$key]:-} && $BODY != *",\"$key\":"* ]] && ((${#JOB_SAYS[$key]} < TEXT_BYTES)); then
            repair_text "${JOB_SAYS[$key]}"
            put_raw "$key" "\"$REPLY\""
        fi
    done
    said time_limit
    [[ -z $REPLY ]] || put_raw time_limit_s "$((REPLY * 60))"
    said submit_time
    put_time submit_time "$REPLY"
    said array_task_id
    if [[ -n $REPLY && $BODY != *'"array_task_id"'* ]]; then
        put_text array_task_id "$REPLY"
        said array_job_id
        put_text array_job_id "$REPLY"
    fi
    said het_job_id
    if ((${REPLY:-0} > 0)); then
        put_text het_job_id "$REPLY"
        said het_job_offset
        put_count het_offset "$REPLY"
    fi
    [[ $1 == start ]] || return 0
    if [[ $tres =~ ,mem=([0-9]{1,9})(\.([0-9]{1,3})[0-9]*)?([MGTP]), ]]; then
        local fraction=${BASH_REMATCH[3]:-0}00
        case ${BASH_REMATCH[4]} in M) unit=1 ;; G) unit=1024 ;; T) unit=1048576 ;; *) unit=1073741824 ;; esac
        put_raw memory_allocation_mb \
            $((10#${BASH_REMATCH[1]} * unit + 10#${fraction:0:3} * unit / 1000))
    fi
    [[ ! $tres =~ ,gres/gpu=([0-9]{1,6}), ]] || put_count gpu_allocation "${BASH_REMATCH[1]}"
}

# read_ending [RESTARTS]: of environment and JOB_SAYS: EXIT_CODE, SIGNAL, OOM, RAW (Slurm's final state, when it
# is known), REASON (of the service's list), FINAL (what the service requires).
read_ending() {
    local status=${SLURM_JOB_EXIT_CODE:-} pair=${SLURM_JOB_EXIT_CODE2:-} state
    EXIT_CODE='' SIGNAL='' OOM='' RAW='' REASON=''
    # More restarts than at its start: whoever answers, this run was requeued.
    [[ -z ${1:-} || ! ${SLURM_JOB_RESTART_COUNT:-} =~ ^[0-9]{1,9}$ ]] ||
        ((10#$SLURM_JOB_RESTART_COUNT <= 10#$1)) || RAW=REQUEUED
    if [[ $pair =~ ^([0-9]{1,9}):([0-9]{1,9})$ ]]; then
        EXIT_CODE=$((10#${BASH_REMATCH[1]})) SIGNAL=$((10#${BASH_REMATCH[2]}))
    elif [[ $status =~ ^[0-9]{1,9}$ ]]; then
        # A wait status: the signal below, the exit code above.
        EXIT_CODE=$((10#$status >> 8 & 255)) SIGNAL=$((10#$status & 127))
    fi
    # A cancelled or timed-out job has 0:0 in the environment; the controller knows its signal.
    if ((${EXIT_CODE:-0} == 0 && ${SIGNAL:-0} == 0)); then
        said exit_code.return_code
        [[ -n ${JOB_SAYS[exit_code]:-} || -z $REPLY ]] || EXIT_CODE=$REPLY
        said exit_code.signal.id
        [[ -z $REPLY ]] || SIGNAL=$REPLY
        [[ -z $SIGNAL || -n $EXIT_CODE ]] || EXIT_CODE=0
    fi
    # Slurm's own number for an OOM kill, which is no signal; also of a step below a script that goes on.
    local derived=${SLURM_JOB_DERIVED_EC:-0}
    [[ $derived =~ ^[0-9]{1,9}$ ]] || derived=0
    if ((${SIGNAL:-0} == 125 || (10#$derived & 127) == 125)); then OOM=true; fi
    [[ $SIGNAL != 125 ]] || SIGNAL=0
    [[ $RAW == REQUEUED ]] || for state in ${JOB_SAYS[job_state]:-}; do
        case $state in
            COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | PREEMPTED | BOOT_FAIL | DEADLINE | \
                OUT_OF_MEMORY | REVOKED) RAW=$state ; break ;;
            PENDING | REQUEUED | REQUEUE_HOLD | REQUEUE_FED | SPECIAL_EXIT) RAW=REQUEUED ;;
        esac
    done
    # A run that ends, but not before its time limit: this is already the next one of a requeued job.
    now_s
    local now=$REPLY
    said end_time
    [[ -n $RAW || ${JOB_SAYS[job_state]:-} != COMPLETING ]] || ((${REPLY:-0} <= now + 30)) || RAW=REQUEUED
    if [[ -z $RAW && ${JOB_SAYS[job_state]:-} == COMPLETING ]]; then
        # All that text says; a cancelled job has no reason, only its signal.
        case ${JOB_SAYS[state_reason]:-} in
            TimeLimit) RAW=TIMEOUT ;;
            OutOfMemory) RAW=OUT_OF_MEMORY ;;
            NonZeroExitCode | RaisedSignal*) RAW=FAILED ;;
        esac
    fi
    case $RAW in
        OUT_OF_MEMORY) FINAL=failed REASON=out_of_memory OOM=true ;;
        TIMEOUT | NODE_FAIL | BOOT_FAIL | DEADLINE) FINAL=failed REASON=${RAW,,} ;;
        PREEMPTED | REVOKED) FINAL=cancelled REASON=${RAW,,} ;;
        FAILED) FINAL=failed ;;
        CANCELLED) FINAL=cancelled ;;
        COMPLETED) FINAL=completed ;;
        *)
            FINAL=completed
            if ((${SIGNAL:-0} == 9 || ${SIGNAL:-0} == 15)); then FINAL=cancelled
            elif ((${SIGNAL:-0} != 0 || ${EXIT_CODE:-0} != 0)); then FINAL=failed; fi
            # A run that was requeued did not finish, although its exit code is 0.
            [[ $RAW != REQUEUED || $FINAL != completed ]] || FINAL=cancelled
            ;;
    esac
}

# put_ending START RESTARTS: after begin_event and read_ending. RESTARTS is this run's own, when the
# prolog noted it; the environment's is already the next one's when the job was requeued.
put_ending() {
    local start=${SLURM_JOB_START_TIME:-${1:-}} end=${SLURM_JOB_END_TIME:-} restarts=${2:-}
    # Times of this run, not of the next one, and not of one that goes on.
    if [[ $RAW != REQUEUED ]] && [[ -n $RAW || ${JOB_SAYS[job_state]:-} == COMPLETING ]]; then
        said start_time
        : "${start:=$REPLY}"
        said end_time
        : "${end:=$REPLY}"
        : "${restarts:=${SLURM_JOB_RESTART_COUNT:-}}"
    fi
    # Of one that asks again: when it was run first, if nobody knows better.
    : "${end:=${TSOBS_HOOK_ENDED:-}}"
    put_text final_state "$FINAL"
    put_text raw_state "$RAW"
    put_text state_reason "$REASON"
    put_count exit_code "$EXIT_CODE"
    # The highest exit code of all steps, as a wait status.
    [[ ! ${SLURM_JOB_DERIVED_EC:-} =~ ^[0-9]{1,9}$ ]] || ((10#$SLURM_JOB_DERIVED_EC & 127)) ||
        put_count derived_exit_code $((10#$SLURM_JOB_DERIVED_EC >> 8))
    ((${SIGNAL:-0} == 0)) || put_count signal "$SIGNAL"
    put_raw oom_killed "$OOM"
    put_time start_time "$start"
    put_time end_time "$end"
    put_count restart_count "$restarts"
}

# ---- telling the service

# tell KIND [later]: sends BODY, a `job-started` or `job-finished`; what could not be sent waits in the
# spool. `later`: straight to the spool, for an agent or another hook to send. Fails when the service
# did not answer.
tell() {
    local kind=$1 body="{$BODY}" name file=''
    DEADLINE=$((STARTED + WORKER_CS))
    now_s
    printf -v name '%010d-%s-%s-%04x%04x.%s.json' "$REPLY" "$JOB" "$$" $RANDOM $RANDOM "$kind"
    # First to the disk under a claimed name: whatever kills this hook, the event is not lost.
    if spool_write "$name" "$body"; then file=$SPOOL/$name; fi
    if [[ ${2:-} == later && -n $file ]]; then
        release "$file"
        log "$kind waits in the spool: this job has many nodes"
        return 1
    fi
    send "$kind" "$body" "$TIMEOUT_CS"
    case $? in
        0)
            [[ -z $file ]] || rm -f -- "$file.sending"
            log "$kind sent: $ANSWER"
            ;;
        2)
            [[ -z $file ]] || put_aside "$file"
            log "$kind refused, and not sent again: $ANSWER"
            ;;
        *)
            if [[ -n $file ]] && release "$file"; then
                log "$kind not sent, it waits in the spool: $ANSWER"
            else
                log "$kind not sent and LOST, for $SPOOL cannot be written: $ANSWER"
            fi
            return 1
            ;;
    esac
}

# send KIND BODY CS: 0 the service has it, 1 it may take it later, 2 it never will; ANSWER says why.
send() {
    local code answer said='"(status|error)": ?"([^"]*)"'
    if [[ ! $API =~ ^https?://[^/] ]]; then
        ANSWER="OBSERVABILITY_URL is no http address: $API"
        return 1
    fi
    capture "$3" "$ERROR_BYTES" post "$1" "$2" "$3"
    case $? in
        0) ;;
        127) ANSWER="curl: not found in $PATH" ; return 1 ;;
        *) ANSWER="no answer in time from $API" ; return 1 ;;
    esac
    code=${REPLY##*$'\n'}
    answer=${REPLY%$'\n'*}
    ANSWER="${code/#000/$API} ${answer:0:300}"
    # Only the service's own words count: a proxy's pages do not.
    case $code in
        2??)
            [[ $answer =~ $said && ${BASH_REMATCH[1]} == status ]] || return 1
            ANSWER=${BASH_REMATCH[2]}
            return 0 ;;
        400 | 409 | 413 | 415 | 422)
            [[ ! $answer =~ $said || ${BASH_REMATCH[1]} != error ]] || return 2 ;;
    esac
    return 1
}

# post KIND BODY CS: becomes curl; the answer, and in a last line the status. Address and token go
# through a pipe: arguments are for all to see.
post() {
    local line='' escaped
    command -v curl >/dev/null || { printf 'curl: not found in %s\n000' "$PATH"; return; }
    seconds "$3"
    local limit=$REPLY
    if [[ -e $TOKEN_FILE || -n ${OBSERVABILITY_TOKEN_FILE:-} ]]; then
        { IFS= read -r line <"$TOKEN_FILE"; } 2>/dev/null || [[ -n $line ]] ||
            printf 'cannot read the token: '
        line=${line%$'\r'}
    fi
    escaped=${line//[\\\"]/}
    exec curl -q --silent --show-error --noproxy '*' --proto =http,https --max-time "$limit" \
        --connect-timeout "$limit" --write-out '\n%{http_code}' --data-binary @- \
        --config <(
            printf 'url = "%s/v1/events/%s"\n' "${API//[\\\"]/}" "$1"
            printf 'header = "Content-Type: application/json"\nheader = "Expect:"\n'
            [[ -z $escaped ]] || printf 'header = "Authorization: Bearer %s"\n' "$escaped"
            [[ -z ${OBSERVABILITY_CA_FILE:-} ]] || printf 'cacert = "%s"\n' "$OBSERVABILITY_CA_FILE"
        ) < <(printf '%s' "$2")
}

# ---- the spool: one event a file, `<unixtime>-<job>-<random>.job-started.json`; who sends one renames
# it to `….sending` first, and a claim older than a minute is anybody's

spool_write() {
    local file=$SPOOL/$1
    [[ -d $SPOOL ]] || mkdir -p -- "$SPOOL" 2>/dev/null
    [[ -d $SPOOL && -w $SPOOL ]] || return 1
    if { printf '%s\n' "$2" >"$file.tmp"; } 2>/dev/null && mv -- "$file.tmp" "$file.sending" 2>/dev/null; then
        return 0
    fi
    rm -f -- "$file.tmp" 2>/dev/null
    return 1
}

release() {
    mv -- "$1.sending" "$1" 2>/dev/null
}

# put_aside FILE: a refused event, for a person to look at.
put_aside() {
    local -a kept
    mkdir -p -- "$SPOOL/refused" 2>/dev/null
    kept=("$SPOOL"/refused/*)
    ((${#kept[@]} < REFUSED_FILES)) || rm -f -- "${kept[@]:0:${#kept[@]}-REFUSED_FILES+1}" 2>/dev/null
    mv -- "$1.sending" "$SPOOL/refused/${1##*/}" 2>/dev/null || rm -f -- "$1.sending"
}

# bound_spool: the oldest go when there are too many, or too much.
bound_spool() {
    local -a files=("$SPOOL"/*.job-{started,finished}.json) sizes=()
    local gone=0 total=0 size
    ((${#files[@]} > 100)) || return 0
    mapfile -t files < <(printf '%s\n' "${files[@]}" | sort)
    ((${#files[@]} <= SPOOL_FILES)) || gone=$((${#files[@]} - SPOOL_FILES))
    mapfile -t sizes < <(stat -c %s -- "${files[@]}" 2>/dev/null)
    for size in "${sizes[@]}"; do ((total += size)); done
    while ((total > SPOOL_BYTES && gone < ${#sizes[@]})); do ((total -= sizes[gone++])); done
    ((gone)) || return 0
    rm -f -- "${files[@]:0:gone}" 2>/dev/null
    log "the spool is full: its $gone oldest events are LOST"
}

# tell_as_placed KIND: as `tell`, but of a job with many nodes only the first ones talk to the service:
# thousands of hooks start in the same second, and none may wait for its turn. What the others say is
# in the spool for their agents, which spread their sending; now and then one of them empties it too.
tell_as_placed() {
    if ((PLACE < SPEAKING_NODES)); then
        tell "$1" && flush_spool
    else
        tell "$1" later
        ((RANDOM % ${#NODES[@]} >= SPEAKING_NODES)) || flush_spool
    fi
    bound_spool
}

# flush_spool: sends what waits, the oldest first, as far as time allows; stops where one fails.
flush_spool() {
    local file kind body sent=0 now changed
    DEADLINE=$((STARTED + WORKER_CS))
    local -a files=("$SPOOL"/*.job-{started,finished}.json.sending)
    now_s
    now=$REPLY
    for file in "${files[@]}"; do
        changed=$(stat -c %Z -- "$file" 2>/dev/null) && ((now - changed > CLAIM_S)) &&
            release "${file%.sending}"
    done
    files=("$SPOOL"/*.job-{started,finished}.json)
    ((${#files[@]})) || return 0
    mapfile -t files < <(printf '%s\n' "${files[@]}" | sort)
    for file in "${files[@]:0:FLUSH_FILES}"; do
        left
        ((REPLY > 50)) || break
        [[ -r $file ]] || continue
        # The age of a claim is the time of the renaming, also for who looks at mtime.
        touch -c -- "$file" 2>/dev/null
        mv -- "$file" "$file.sending" 2>/dev/null || continue
        kind=${file%.json}
        body=$(<"$file.sending") || continue
        send "${kind##*.}" "$body" "$TIMEOUT_CS"
        case $? in
            0) rm -f -- "$file.sending" ; ((++sent)) ;;
            2) put_aside "$file" ; log "${file##*/} refused, and not sent again: $ANSWER" ;;
            *) release "$file" ; break ;;
        esac
    done
    ((sent == 0)) || log "$sent earlier events sent from the spool"
}
