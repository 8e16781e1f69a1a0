-- All rows of the view or table $view, in its own order.
from query_table($view)
