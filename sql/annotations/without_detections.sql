-- Images that could be read but in which the detector found nothing; no rows where no detector ran.
select * from images_without_detections
