-- Every instance with the user's columns, also invalid ones. $include_unannotated: also those without annotation.
select * exclude (is_annotated) from facts where is_annotated or $include_unannotated order by "index"
