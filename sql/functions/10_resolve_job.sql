-- Which runs an id has had, and which of them each thing told speaks of. Every writer goes through here.
-- These are plpgsql because their plans are then kept for the session: an SQL function that cannot be inlined is
-- planned anew in every transaction, which took most of an observation's time.

create or replace function tsobs_store.setting_number(p_name text, p_default double precision)
returns double precision language plpgsql stable as $$
begin
    return coalesce((select (value #>> '{}')::double precision from tsobs_store.setting where name = p_name), p_default);
end
$$;

-- The number that tells the next run of an id from those before it.
create or replace function tsobs_store.next_run(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int
) returns int language plpgsql stable as $$
begin
    return (
        select coalesce(max(run) + 1, 0)
        from tsobs_store.job
        where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id
            and restart_count is not distinct from p_restart_count
    );
end
$$;

-- One writer at a time decides on the runs of an id.
create or replace function tsobs_store.lock_job_id(p_cluster text, p_scheduler text, p_job_id text) returns void
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(E'\x01', p_cluster, p_scheduler, p_job_id), 0));
end
$$;

-- Sorts all that was told of one id into runs: a function of what was told, in whatever order it came. One element
-- a telling (job_told), sorted by p_at, p_end, p_role, p_count, p_hint: what it is (role), the restart_count it knows
-- or guesses, where it stands in time and where it ends (unix seconds; infinity when it says nothing of an end), and the
-- row that it was told of (P). Out: each telling's run, and of each run its restart_count and the row it must be.
--
-- No two runs of an id overlap: an ending that names its start tells of all that lies between. An hour is the slack for
-- what restart_count or nobody's contradiction makes sure of, `near` for clocks and hooks of nodes that differ, `skew`
-- for clocks alone. Of what has the same role, restart_count and hint, all between two tellings of one run
-- is of that run; observe_job relies on this.
create or replace function tsobs_store.assign_runs(
    p_role "char"[], p_count int[], p_hint int[], p_at double precision[], p_end double precision[], p_key bigint[],
    p_window_s double precision,
    out run_of int[], out run_count int[], out run_key bigint[]
) language plpgsql immutable as $$
declare
    slack constant double precision := 3600;
    near constant double precision := 30;
    skew constant double precision := 5;
    inf constant double precision := 'infinity';
    n constant int := cardinality(p_at);
    -- Of each run: restart_count, first and last start, end; a guess of its restart_count; whether its start is only
    -- the first that an agent saw; the row it must be.
    c int[]; lo double precision[]; hi double precision[]; fin double precision[];
    hint int[]; weak boolean[]; pin bigint[];
    k int := 0;
    -- Of each group of starts with one restart_count.
    gc int[]; glo double precision[]; ghi double precision[]; grun int[];
    g int := 0;
    at double precision; until double precision; away double precision; least_away double precision;
    same int; other int; best int; best_g int;
    is_merged boolean;
begin
    run_of := array_fill(0, array[n]);

    -- What was told of a row is that row's.
    for i in 1..n loop
        continue when p_role[i] <> 'P';
        best := array_position(pin, p_key[i]);
        if best is null then
            k := k + 1; best := k;
            c[k] := p_count[i]; lo[k] := p_at[i]; hi[k] := p_at[i]; fin[k] := p_end[i];
            weak[k] := false; pin[k] := p_key[i];
        else
            c[best] := greatest(c[best], p_count[i]);
            fin[best] := case when fin[best] = inf then p_end[i] when p_end[i] = inf then fin[best]
                else greatest(fin[best], p_end[i]) end;
        end if;
        run_of[i] := best;
    end loop;

    -- Endings that name their start: those that overlap are of one run.
    for i in 1..n loop
        continue when p_role[i] <> 'E';
        at := p_at[i]; best := null; least_away := inf;
        for j in 1..k loop
            continue when c[j] <> p_count[i];
            away := abs(at - lo[j]);
            until := case when fin[j] = inf then lo[j] + 2 * near else fin[j] end;
            if away < least_away and (away <= skew or at < until and p_end[i] > lo[j]) then
                best := j; least_away := away;
            end if;
        end loop;
        if best is null then
            k := k + 1; best := k;
            lo[k] := at; hi[k] := at; fin[k] := p_end[i]; weak[k] := false;
        end if;
        c[best] := coalesce(c[best], p_count[i]);
        lo[best] := least(lo[best], at);
        fin[best] := case when fin[best] = inf then p_end[i] else greatest(fin[best], p_end[i]) end;
        -- The hint is the run's own restart_count or the next.
        hint[best] := least(hint[best], p_hint[i]);
        run_of[i] := best;
    end loop;

    -- Starts with a restart_count, by the hour; each group is the run of the ending whose span holds or follows it.
    for i in 1..n loop
        continue when p_role[i] <> 'S' or p_count[i] is null;
        best := null;
        for j in 1..g loop
            if gc[j] = p_count[i] and p_at[i] - ghi[j] <= slack then
                best := j;
            end if;
        end loop;
        if best is null then
            g := g + 1; best := g;
            gc[g] := p_count[i]; glo[g] := p_at[i];
        end if;
        ghi[best] := p_at[i];
        run_of[i] := -best;
    end loop;
    loop
        least_away := inf;
        for a in 1..g loop
            continue when grun[a] is not null;
            for j in 1..k loop
                continue when c[j] <> gc[a] or j = any (grun);
                away := abs(glo[a] - lo[j]);
                until := case when fin[j] = inf then lo[j] + slack else fin[j] - skew end;
                if away < least_away and (
                    away <= near or ghi[a] >= lo[j] and glo[a] <= until
                    or ghi[a] < lo[j] and lo[j] - ghi[a] <= slack and coalesce(hint[j] = gc[a], true)
                ) then
                    best := j; best_g := a; least_away := away;
                end if;
            end loop;
        end loop;
        exit when least_away = inf;
        grun[best_g] := best;
        c[best] := gc[best_g];
        lo[best] := least(lo[best], glo[best_g]);
        hi[best] := greatest(hi[best], ghi[best_g]);
    end loop;
    for a in 1..g loop
        if grun[a] is null then
            k := k + 1; grun[a] := k;
            c[k] := gc[a]; lo[k] := glo[a]; hi[k] := ghi[a]; fin[k] := inf; weak[k] := false;
        end if;
    end loop;

    for i in 1..n loop
        continue when p_role[i] <> 'S';
        if p_count[i] is not null then
            run_of[i] := grun[-run_of[i]];
            continue;
        end if;
        -- Starts without one: the nearest run within the hour, but none that had ended by then. Slurm tells the
        -- restart_count, so these are told by hand or by another scheduler, of an id that is used again.
        at := p_at[i]; best := null; least_away := inf;
        for j in 1..k loop
            continue when fin[j] <> inf and at > fin[j];
            until := case when fin[j] = inf then hi[j] else greatest(hi[j], fin[j]) end;
            away := greatest(lo[j] - at, at - until, 0);
            if away <= slack and (away < least_away or away = least_away and lo[j] > lo[best]) then
                best := j; least_away := away;
            end if;
        end loop;
        if best is null then
            k := k + 1; best := k;
            lo[k] := at; hi[k] := at; fin[k] := inf; weak[k] := false;
        end if;
        lo[best] := least(lo[best], at);
        hi[best] := greatest(hi[best], at);
        run_of[i] := best;
    end loop;

    -- What agents saw begin, which is later than the start, on a further node hours later: with a restart_count
    -- first, then without.
    for i in 1..n loop
        continue when p_role[i] <> 'B' or p_count[i] is null;
        at := p_at[i]; same := null; other := null; best := null;
        for j in 1..k loop
            if c[j] = p_count[i] then
                if lo[j] <= at + near then
                    if same is null or lo[same] > at + near or lo[j] > lo[same] then same := j; end if;
                elsif lo[j] - at <= slack and (same is null or lo[same] > lo[j]) then
                    same := j;
                end if;
            end if;
            if lo[j] <= at + near and (best is null or lo[j] > lo[best]) then best := j; end if;
            if c[j] is null and fin[j] <> inf and lo[j] - near <= at and at <= fin[j] + skew
                and (other is null or lo[j] > lo[other]) then
                other := j;
            end if;
        end loop;
        if c[best] is null and fin[best] = inf then other := coalesce(other, best); end if;
        if at > fin[same] + slack then same := null; end if;
        if same is null or (fin[same] = inf or at > fin[same] + skew) and other is not null then
            same := coalesce(other, same);
        end if;
        if same is null then
            k := k + 1; same := k;
            lo[k] := at; hi[k] := at; fin[k] := inf; weak[k] := true;
        end if;
        c[same] := coalesce(c[same], p_count[i]);
        run_of[i] := same;
    end loop;
    for i in 1..n loop
        continue when p_role[i] <> 'B' or p_count[i] is not null;
        at := p_at[i]; same := null; other := null;
        for j in 1..k loop
            if lo[j] <= at then
                if same is null or lo[j] > lo[same] then same := j; end if;
            elsif other is null or lo[j] < lo[other] then
                other := j;
            end if;
        end loop;
        if other is not null and lo[other] - at <= skew and not coalesce(fin[same] <> inf and at <= fin[same], false) then
            same := other;
        elsif same is null or at > fin[same] + 2 * near then
            same := case when lo[other] - at <= case when weak[other] then slack else near end then other end;
        end if;
        if same is null then
            k := k + 1; same := k;
            lo[k] := at; hi[k] := at; fin[k] := inf; weak[k] := true;
        end if;
        lo[same] := least(lo[same], at);
        run_of[i] := same;
    end loop;

    -- Endings without a start: the last run that began before it, unless the hint speaks against it or that run
    -- ended an hour ago.
    for i in 1..n loop
        continue when p_role[i] <> 'F';
        at := p_at[i]; same := null; other := null;
        for j in 1..k loop
            continue when c[j] <> p_count[i] or c[j] not in (p_hint[i] - 1, p_hint[i]);
            if lo[j] = inf then
                -- A run of which only endings are known.
                if hint[j] is not distinct from p_hint[i] and at <= fin[j] + slack then other := j; end if;
            elsif lo[j] <= at then
                if same is null or lo[same] > at or lo[j] > lo[same] then same := j; end if;
            elsif lo[j] <= at + near and (same is null or lo[same] > lo[j]) then
                same := j;
            end if;
        end loop;
        if same is null or at > fin[same] + slack then same := other; end if;
        if same is null then
            k := k + 1; same := k;
            c[k] := p_count[i]; lo[k] := inf; hi[k] := inf; fin[k] := at; weak[k] := true; hint[k] := p_hint[i];
        end if;
        fin[same] := case when fin[same] = inf then at else greatest(fin[same], at) end;
        run_of[i] := same;
    end loop;

    -- All else: the run whose span holds it, else the nearest within the window.
    for i in 1..n loop
        continue when p_role[i] <> 'O' or p_count[i] is null;
        at := p_at[i]; best := null; least_away := inf; other := null;
        for j in 1..k loop
            if lo[j] <= at + skew and (other is null or lo[j] > lo[other]) then other := j; end if;
        end loop;
        for j in 1..k loop
            away := case when lo[j] = inf then abs(at - fin[j]) else greatest(lo[j] - at, at - fin[j], 0) end;
            if c[j] is null then
                continue when away > skew or fin[j] = inf and j <> other;
                away := 0;
            else
                continue when c[j] <> p_count[i];
            end if;
            if away <= p_window_s and (away < least_away or away = least_away and lo[j] > lo[best]) then
                best := j; least_away := away;
            end if;
        end loop;
        if best is null then
            k := k + 1; best := k;
            lo[k] := at; hi[k] := at; fin[k] := inf; weak[k] := true;
        end if;
        c[best] := coalesce(c[best], p_count[i]);
        run_of[i] := best;
    end loop;
    for i in 1..n loop
        continue when p_role[i] <> 'O' or p_count[i] is not null;
        at := p_at[i]; best := null; least_away := inf; other := null;
        for j in 1..k loop
            if lo[j] <= at and (other is null or lo[j] > lo[other]) then other := j; end if;
        end loop;
        for j in 1..k loop
            -- What has not ended goes on until the next begins.
            continue when fin[j] = inf and lo[j] <= at and j <> other;
            away := case when lo[j] = inf then abs(at - fin[j]) else greatest(lo[j] - at, at - fin[j], 0) end;
            if away <= p_window_s and (
                away < least_away or away = least_away and (lo[j], -coalesce(c[j], 2147483647)) > (lo[best], -coalesce(c[best], 2147483647))
            ) then
                best := j; least_away := away;
            end if;
        end loop;
        if best is null then
            k := k + 1; best := k;
            lo[k] := at; hi[k] := at; fin[k] := inf; weak[k] := true;
        end if;
        run_of[i] := best;
    end loop;

    -- The same restart_count within the hour, or within an hour of the end, is the same run.
    loop
        is_merged := false;
        for x in 1..k loop
            for y in 1..k loop
                continue when x = y or lo[x] > lo[y] or lo[x] = lo[y] and x > y or lo[x] = inf
                    or c[x] is distinct from c[y] or c[x] is null or pin[x] <> pin[y];
                if lo[y] - hi[x] <= slack or fin[x] <> inf and lo[y] <= fin[x] + slack then
                    hi[x] := greatest(hi[x], hi[y]);
                    fin[x] := case when fin[x] = inf then fin[y] when fin[y] = inf then fin[x]
                        else greatest(fin[x], fin[y]) end;
                    pin[x] := coalesce(pin[x], pin[y]);
                    run_of := (select array_agg(case when r = y then x else r end order by o)
                        from unnest(run_of) with ordinality as u (r, o));
                    c[y] := null; lo[y] := inf;
                    is_merged := true;
                end if;
            end loop;
        end loop;
        exit when not is_merged;
    end loop;
    run_count := array(select c[j] from generate_series(1, k) as j);
    run_key := array(select pin[j] from generate_series(1, k) as j);
end
$$;
