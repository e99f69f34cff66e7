"""Sphinx settings of the documentation site. ``make docs`` builds it: scripts/build_site.py."""

project = "shapecnn"
author = "the shapecnn authors"
html_title = "shapecnn"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 6  # the anchors that GitHub gives headings
nitpicky = True
highlight_language = "text"  # of blocks without a language: commands and what they print
pygments_style = "default"
pygments_dark_style = "github-dark"

html_theme = "furo"  # light and dark; no fonts or scripts from other hosts
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_last_updated_fmt = None
