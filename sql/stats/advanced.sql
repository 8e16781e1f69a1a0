-- The advanced statistics of the instances in the temp table `chosen`, in id order.
select * from advanced_stats where id in (select id from chosen) order by id
