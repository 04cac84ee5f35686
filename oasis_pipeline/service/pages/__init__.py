"""The pages for people: one module a page, with its template in ``templates/pages`` and its script in ``static/pages``.

Here: views, and what they read. Who may see a page and what frames it stands in ``shared``, filters of templates in ``tags``, pictures of
cards in ``cards``. Not here: filters, orders and cursors (``query``), the forms of rows (``output``), the administration site (``admin``).

A page is a function under ``@page``, which is named in `urlpatterns` and, if people should find it, in ``shared.NAVIGATION``. It reads by
``warehouse.reading`` in one or two statements, and links to the API's csv of the same rows.
"""
