-- Which series match: =, !=, =~ and !~ as in Prometheus. A label that is not there is the empty string; a regular
-- expression is RE2's and matches the whole value. It is evaluated over the values of the label, never over series.

-- RE2's syntax as PostgreSQL's. What this cannot say is refused, never taken for something else. Compared in the "C"
-- collation, so \d, \w and [[:alpha:]] are ASCII as in RE2, and (?i) folds ASCII only.
create or replace function tsobs_store.re2_pattern(p_regex text, out pattern text, out folds boolean)
language plpgsql immutable strict as $$
declare
    at int := 1;
    in_class boolean := false;
    c text;
    rest text;
    flags text := substring(p_regex from '^\(\?([a-zA-Z]+)\)');
begin
    folds := coalesce(flags ~ 'i', false);
    if flags ~ '[^isU]' then
        raise exception 'flags (?%) are not supported', flags using errcode = 'invalid_regular_expression';
    end if;
    at := at + coalesce(length(flags) + 3, 0);
    pattern := '';
    while at <= length(p_regex) loop
        c := substr(p_regex, at, 1);
        rest := substr(p_regex, at + 1, 12);
        if c = '\' then
            c := left(rest, 1);
            if c = 'Q' then
                rest := split_part(substr(p_regex, at + 2), '\E', 1);
                pattern := pattern || regexp_replace(rest, '([^[:alnum:]_[:space:]])', '\\\1', 'g');
                at := at + 2 + length(rest) + case when strpos(substr(p_regex, at + 2), '\E') > 0 then 2 else 0 end;
                continue;
            elsif c = 'x' and rest ~ '^x(\{[0-9a-fA-F]{1,6}\}|[0-9a-fA-F]{2})' then
                rest := substring(rest from '^x(\{[0-9a-fA-F]{1,6}\}|[0-9a-fA-F]{2})');
                pattern := pattern || '\U' || lpad(trim(rest, '{}'), 8, '0');
                at := at + 2 + length(rest);
                continue;
            elsif c ~ '^[^[:alnum:]]$' or c ~ '^[afnrtvdDwW]$' and not (in_class and c in ('D', 'W')) then
                pattern := pattern || '\' || c;
            elsif c in ('s', 'S') and not (in_class and c = 'S') then
                pattern := pattern || case when in_class then ' \t\n\f\r' when c = 's' then '[ \t\n\f\r]'
                    else '[^ \t\n\f\r]' end;
            elsif c ~ '^[AbBz]$' and not in_class then
                pattern := pattern || case c when 'b' then '\y' when 'B' then '\Y' when 'z' then '\Z' else '\A' end;
            else
                raise exception '\% is not supported', c using errcode = 'invalid_regular_expression';
            end if;
            at := at + 2;
        elsif in_class then
            if c = '[' and rest ~ '^:\^?[a-z]+:\]' then
                rest := substring(rest from '^:\^?[a-z]+:\]');
                if rest ~ '\^|ascii' then
                    raise exception '[% is not supported', rest using errcode = 'invalid_regular_expression';
                end if;
                pattern := pattern || c || rest;
                at := at + 1 + length(rest);
            else
                pattern := pattern || case when c = '[' then '\[' else c end;
                in_class := c <> ']';
                at := at + 1;
            end if;
        elsif c = '[' then
            -- A bracket that comes first is one of the class.
            rest := substring(rest from '^\^?\]?');
            pattern := pattern || c || replace(rest, ']', '\]');
            in_class := true;
            at := at + 1 + length(rest);
        elsif c = '(' and left(rest, 1) = '?' then
            rest := substring(substr(p_regex, at + 1) from '^\?(?::|P?<[A-Za-z0-9_]+>)');
            if rest is null then
                raise exception 'flags and assertions within a regular expression are not supported'
                    using errcode = 'invalid_regular_expression';
            end if;
            pattern := pattern || '(?:';
            at := at + 1 + length(rest);
        else
            pattern := pattern || c;
            at := at + 1;
        end if;
    end loop;
    pattern := '^(?:' || pattern || ')$';
end
$$;

-- Whether one value matches.
create or replace function tsobs_store.value_matches(p_value text, p_op text, p_pattern text) returns boolean
language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    re record;
begin
    if p_op in ('=', '!=') then
        return (p_value = p_pattern) = (p_op = '=');
    end if;
    re := re2_pattern(p_pattern);
    return (case when re.folds then p_value collate "C" ~* re.pattern else p_value collate "C" ~ re.pattern end)
        = (p_op = '=~');
end
$$;

-- The same as SQL, of a column value.
create or replace function tsobs_store.value_condition(p_op text, p_pattern text) returns text
language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    re record;
begin
    if p_op in ('=', '!=') then
        return format('value %s %L', case p_op when '=' then '=' else '<>' end, p_pattern);
    end if;
    re := re2_pattern(p_pattern);
    return format('value %s%s %L', case p_op when '!~' then '!' else '' end, case when re.folds then '~*' else '~' end,
        re.pattern);
end
$$;

-- How every value begins that an expression matches; empty when nothing is known of it, as with (?i).
create or replace function tsobs_store.regex_head(p_regex text) returns text
language sql immutable as $$
    select case when strpos(p_regex, '|') > 0 then '' else
        regexp_replace(substring(p_regex from '^[^][\\.^$*+?(){}]*'),
            case when p_regex ~ '^[^][\\.^$*+?(){}]+[*?{]' then '.$' else '^$' end, '') end
$$;

-- The labels of a name whose values match: read in the index by the beginning, where the expression has one.
create or replace function tsobs_store.matching_labels(p_name text, p_op text, p_pattern text) returns int[]
language plpgsql stable set search_path = tsobs_store, pg_temp set jit = off as $$
declare
    head text := '';
    wanted text;
    found_ids int[];
begin
    if p_op in ('=', '!=') then
        head := case when p_op = '=' then p_pattern else '' end;
    elsif p_op = '=~' and p_pattern !~ '[][\\.^$*+?(){}]' then
        -- Nothing but words: each is looked up.
        select array_agg(l.label_id) into found_ids
        from (select distinct word from unnest(string_to_array(p_pattern, '|')) as word) as words, label l
        where l.name = p_name and left(l.value, 255) = left(words.word, 255) and l.value = words.word;
        return coalesce(found_ids, '{}');
    elsif p_op = '=~' then
        head := regex_head(p_pattern);
    end if;
    wanted := value_condition(p_op, p_pattern);
    if head <> '' then
        head := left(head, 200);
        wanted := wanted || format(' and left(value, 255) >= %L and left(value, 255) < %L', head, head || U&'\+10FFFF');
    end if;
    execute format('select array_agg(label_id) from label where name = %L and %s', p_name, wanted) into found_ids;
    return coalesce(found_ids, '{}');
end
$$;

-- Whether a name has so many values that they are looked at for the series that were found only.
create or replace function tsobs_store.has_many_values(p_name text) returns boolean
language sql stable set search_path = tsobs_store, pg_temp as $$
    select count(*) > 20000 from (select from label where name = p_name limit 20001) as few
$$;

-- The series that match all of these and may have samples between the two times. There may be series among them that
-- have none; there is none that has and is missing.
create or replace function tsobs_store.match_series(
    p_names text[], p_ops text[], p_values text[], p_from timestamptz, p_to timestamptz
) returns setof bigint
language plpgsql stable set search_path = tsobs_store, pg_temp set jit = off set work_mem = '64MB' as $$
declare
    m record;
    ids int[];
    conditions text := '';
    late text := '';
    is_narrow boolean := false;
begin
    if p_from > p_to then
        return;
    end if;
    for m in
        select name, op, value, value_matches('', op, value) as takes_empty,
            case op when '=' then '!=' when '!=' then '=' when '=~' then '!~' else '=~' end as opposite
        from unnest(p_names, p_ops, p_values) as t (name, op, value)
        -- What names few labels comes first: with it, the rest is asked of few series.
        order by case when op = '=' and value <> '' then 1 when op = '=~' then 2 else 3 end, length(value) desc
    loop
        if m.op not in ('=', '!=', '=~', '!~') then
            raise exception '% is no matcher', m.op using errcode = 'invalid_parameter_value';
        end if;
        continue when m.op = '=~' and m.value = '.*';
        if is_narrow and not (m.op in ('=', '!=') and m.value <> '')
            and not (m.op = '=~' and not m.takes_empty
                and (regex_head(m.value) <> '' or m.value !~ '[][\\.^$*+?(){}]'))
            and has_many_values(m.name)
        then
            -- A label that matches must be there; or none that does not match.
            late := late || format(' and series_id %s in (select f.series_id from found f, unnest(f.label_ids) as mine'
                ' where mine in (select label_id from label where label_id = any (array('
                'select distinct unnest(label_ids) from found)) and name = %L and %s))',
                case when m.takes_empty then 'not' else '' end, m.name,
                value_condition(case when m.takes_empty then m.opposite else m.op end, m.value));
        elsif m.takes_empty then
            ids := matching_labels(m.name, m.opposite, m.value);
            conditions := conditions || case
                when ids = '{}' then ''
                when cardinality(ids) <= 8 then format(' and not label_ids && %L', ids)
                else any_of(ids, 'not') end;
        else
            ids := matching_labels(m.name, m.op, m.value);
            if ids = '{}' then
                return;
            end if;
            conditions := conditions || case
                when cardinality(ids) = 1 then format(' and label_ids @> %L', ids)
                when is_narrow and cardinality(ids) > 100 or cardinality(ids) > 5000 then any_of(ids, '')
                else format(' and label_ids && %L', ids) end;
            is_narrow := is_narrow or cardinality(ids) <= 100;
        end if;
    end loop;
    -- Apart, because they lie in indexes apart.
    return query execute format(
        'with found as materialized ('
        'select series_id, label_ids from series where ended_at is null %1$s union all '
        'select series_id, label_ids from series where ended_at >= %3$L %1$s)'
        ' select series_id from found where true %2$s', conditions, late, coalesce(p_from, '-infinity'));
end
$$;

-- Of many labels: found in a table instead of a long list for each series.
create or replace function tsobs_store.any_of(p_ids int[], p_not text) returns text
language sql immutable as $$
    select format(' and %s exists (select from unnest(label_ids) as mine where mine = any (%L))', p_not, p_ids)
$$;

-- For SQL: the series of a metric, with labels that are equal to these.
create or replace function tsobs.series_of(metric text, labels jsonb default '{}') returns setof bigint
language sql stable security definer set search_path = tsobs_store, pg_temp as $$
    select tsobs_store.match_series(
        array['__name__'] || array(select key from jsonb_each_text(labels) order by key),
        array_fill('='::text, array[1 + (select count(*) from jsonb_each_text(labels))::int]),
        array[metric] || array(select value from jsonb_each_text(labels) order by key),
        null, null)
$$;
