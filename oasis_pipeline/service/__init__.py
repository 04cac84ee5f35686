"""The data service: readings in, rows and batches out, over http, with an administration site.

Here: the Django project: who may do what, what a request says, and in which form rows go out. Not here: tables
(``schema``), COPY and partitions (``storage``), rules of labels (``intake``), window features (``learning``), and
starting it from a terminal (``commands.serve``).

How a request goes: ``asgi`` bounds its size and time, ``middleware`` logs it, ``access`` finds out who asks, ``api`` has
one short function for each method, and these call ``readings`` (body to rows), ``store`` (rows to the database),
``query`` (parameters to SQL) and ``output`` (rows to JSON, csv, Parquet, Arrow).
"""
