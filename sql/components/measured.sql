-- Whether there are statistics of any instance: basic, advanced.
select exists (from stats) as basic, exists (from advanced_stats) as advanced
