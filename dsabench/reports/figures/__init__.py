"""The report's plots: each drawn by one function, once as SVG that follows the page's light or dark colours and once as PNG."""
