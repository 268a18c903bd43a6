"""`bike report`: one HTML page with the state of the platform, to open anywhere or to send by e-mail.

Figures come from the exporter's modules and from the audit tables; the layout is in `page.html`.
"""
