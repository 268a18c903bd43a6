"""`bike report`: one page that tells how the platform does, to look at anywhere and to send by e-mail.

Figures come from the exporter's parts and from the audit tables; what they look like is in `page.html`.
"""
