#!/bin/bash
# Slurm's Prolog: tells tsobs that a job starts, with its CPUs and GPUs on this node.
# Exits 0 in less than 5 s, whatever is broken. docs/slurm.md
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=${BASH_SOURCE[0]}
[[ ! -L $self ]] || self=$(readlink -f -- "$self")
[[ $self == */* ]] || self=./$self
# shellcheck source=tsobs_hooks.bash source-path=SCRIPTDIR
if [[ ! -r ${self%/*}/tsobs_hooks.bash ]] || ! . "${self%/*}/tsobs_hooks.bash"; then
    text="prolog: ${self%/*}/tsobs_hooks.bash is missing or damaged; job ${SLURM_JOB_ID:--} is not told"
    { printf '%s\n' "$text" >>"${OBSERVABILITY_LOG:-/var/log/tsobs/hooks.log}"; } 2>/dev/null ||
        printf 'tsobs: %s\n' "$text" >&2
    exit 0
fi

main() {
    read_job || return
    find_place
    begin_event slurm-prolog
    put_user || return
    put_text node "$NODE" "$NAME_BYTES"
    put_count restart_count "${SLURM_JOB_RESTART_COUNT:-}"
    # The whole list comes from those that send at once; thousands of copies would be too much.
    if ((PLACE < SPEAKING_NODES)); then
        put_texts node_list "${NODES[@]}"
    else
        put_texts node_list "$NODE"
    fi
    put_start_time
    put_cpus
    put_gpus
    put_allocation
    tell_as_placed job-started
}

# put_start_time: Slurm's, else (before 24.11) the controller's, whom only the first node asks; else
# this moment, for nothing earlier is known.
put_start_time() {
    local start=${SLURM_JOB_START_TIME:-} now
    now_s
    now=$REPLY
    if [[ -z $start && $PLACE == 0 ]] && ask_controller "$JOB"; then
        said start_time
        # Not the expected start of a run to come.
        ((${REPLY:-0} > now + 60)) || start=$REPLY
        put_asked start
    fi
    [[ $start =~ ^[1-9][0-9]{8,9}$ ]] || start=$now
    put_time start_time "$start"
    note_start "$start" "$now"
}

# note_start START NOW: an empty file `<job>@<node>-<start>-<restarts>` for the epilog: there the restart
# count of a requeued job is already the next one's, and before 24.11 nothing says when it started.
note_start() {
    local restarts=${SLURM_JOB_RESTART_COUNT:-} note when
    [[ $restarts =~ ^[0-9]{1,9}$ ]] || restarts=
    [[ -d $STATE ]] || mkdir -p -- "$STATE" 2>/dev/null
    for note in "$STATE"/*-*-*; do
        [[ ${note##*/} =~ ^(.+)-([1-9][0-9]{8,9})-[0-9]*$ ]] || continue
        # Those of earlier runs, and of jobs whose epilog never ran.
        if [[ ${BASH_REMATCH[1]} == "$JOB@$NODE" ]] || (($2 - BASH_REMATCH[2] > NOTE_DAYS * 86400)); then
            rm -f -- "$note" 2>/dev/null
        fi
    done
    { : >"$STATE/$JOB@$NODE-$1-$restarts"; } 2>/dev/null ||
        log "$STATE cannot be written: the epilog will not know when the job started"
}

# put_cpus: of the job and of this node, from a list such as `2(x3),1`.
put_cpus() {
    local rest=${SLURM_JOB_CPUS_PER_NODE:-} total=0 nodes=0 here='' cpus times
    CPUS_HERE=''
    while [[ $rest =~ ^([0-9]{1,6})(\(x([0-9]{1,6})\))?(,|$) ]]; do
        cpus=$((10#${BASH_REMATCH[1]})) times=$((10#${BASH_REMATCH[3]:-1}))
        ((nodes > PLACE || nodes + times <= PLACE)) || here=$cpus
        ((total += cpus * times, nodes += times))
        rest=${rest:${#BASH_REMATCH[0]}}
    done
    # A list for other nodes than these says nothing.
    [[ -z $rest ]] && ((nodes == ${#NODES[@]} && total > 0)) || return 0
    put_count cpu_allocation "$total"
    CPUS_HERE=$here
}

# put_allocation: what the job has of this node: CPUs and GPUs, these by name or else by number.
put_allocation() {
    [[ -n $CPUS_HERE$GPUS_HERE ]] || return 0
    json_text "$NODE" "$NAME_BYTES"
    put_raw nodes_alloc \
        "[{\"node\":$REPLY${CPUS_HERE:+,\"cpus\":$CPUS_HERE}${GPUS_HERE:+,\"gpus\":$GPUS_HERE}}]"
}

# put_gpus: the job's GPUs on this node, NVIDIA's by UUID, AMD's as `cardN`. One for which nothing is
# found is counted, and not named.
put_gpus() {
    local visible=${CUDA_VISIBLE_DEVICES:-} number nvidia='' amd=''
    local -a numbers=() devices=()
    local -A uuid_of=()
    GPUS_HERE=''
    if [[ ${SLURM_JOB_GPUS:-} =~ ^[0-9]{1,3}(,[0-9]{1,3})*$ ]]; then
        # shellcheck disable=SC2206  # digits and commas
        numbers=(${SLURM_JOB_GPUS//,/ })
    elif [[ $visible =~ ^[0-9]{1,3}(,[0-9]{1,3})*$ ]]; then
        # shellcheck disable=SC2206
        numbers=(${visible//,/ })
    fi
    if [[ $visible =~ ^(GPU|MIG)-[0-9A-Za-z/-]+(,(GPU|MIG)-[0-9A-Za-z/-]+)*$ ]]; then
        # shellcheck disable=SC2206
        devices=(${visible//,/ })
        nvidia=yes
        ((${#numbers[@]} > 0)) || numbers=("${devices[@]}")
    fi
    ((${#numbers[@]} > 0)) || return 0
    GPUS_HERE=${#numbers[@]}
    # Of one node this is the job's number; of several it is only this node's.
    if ((${#NODES[@]} == 1)) && [[ $BODY != *'"gpu_allocation"'* ]]; then
        put_count gpu_allocation "${#numbers[@]}"
    fi
    if [[ -z $nvidia ]]; then
        find_nvidia
        ((${#uuid_of[@]} > 0)) || find_amd
        for number in "${numbers[@]}"; do
            number=$((10#$number))
            if [[ -n ${uuid_of[$number]:-} ]]; then
                devices+=("${uuid_of[$number]}") nvidia=yes
            elif [[ $amd == *"GPU[$number]"* ]]; then
                devices+=("card$number")
            fi
        done
    fi
    ((${#devices[@]} > 0)) || return 0
    note_gpus "${devices[@]}"
    if [[ -n $nvidia ]]; then put_raw gpu_vendor '"nvidia"'; else put_raw gpu_vendor '"amd"'; fi
    put_texts gpu_devices "${devices[@]}"
    # Not when one of them has no name.
    ((${#devices[@]} != ${#numbers[@]})) || GPUS_HERE=$REPLY
}

# find_nvidia: uuid_of by number. The driver's own files give the minor number, which is Slurm's, and
# never hang; nvidia-smi's index is mostly the same. With MIG a number is no GPU.
find_nvidia() {
    local proc=${OBSERVABILITY_PROC_ROOT:-/proc} file line uuid minor
    local -a instances=("$proc"/driver/nvidia/capabilities/gpu*/mig/gi*)
    ((${#instances[@]} == 0)) || return 0
    for file in "$proc"/driver/nvidia/gpus/*/information; do
        uuid='' minor=''
        while IFS= read -r line; do
            [[ ! $line =~ ^GPU\ UUID:[[:space:]]*(GPU-[0-9A-Za-z-]+)$ ]] || uuid=${BASH_REMATCH[1]}
            [[ ! $line =~ ^Device\ Minor:[[:space:]]*([0-9]+)$ ]] || minor=${BASH_REMATCH[1]}
        done 2>/dev/null <"$file"
        [[ -z $uuid || -z $minor ]] || uuid_of[$minor]=$uuid
    done
    ((${#uuid_of[@]} == 0)) || return 0
    capture "$GPU_CS" 65536 nvidia-smi --query-gpu=index,uuid,mig.mode.current --format=csv,noheader
    while IFS= read -r line; do
        [[ $line != *Enabled* ]] || { uuid_of=(); return; }
        [[ ! $line =~ ^([0-9]+),\ *(GPU-[0-9A-Za-z-]+), ]] || uuid_of[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
    done < <(printf '%s\n' "$REPLY")
}

# find_amd: what rocm-smi lists.
find_amd() {
    capture "$GPU_CS" 65536 rocm-smi --showid
    amd=$REPLY
}

run_hook prolog main
