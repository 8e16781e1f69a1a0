-- Without a column label there is no view on labels.

drop view if exists label_quality;
