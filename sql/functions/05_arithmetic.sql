-- Null is not zero: what was not measured adds nothing and changes nothing.

-- a + b where null means "not known"; null only when neither is known.
create or replace function tsobs_store.add_known(p_a double precision, p_b double precision)
returns double precision language sql immutable parallel safe as $$
    select case when p_b is null then p_a else coalesce(p_a, 0) + p_b end
$$;
