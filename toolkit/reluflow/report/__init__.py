"""Reports: terminal tables, JSON, Parquet, pictures and one page that works offline.

Imports results and computes nothing but their presentation.
"""

from reluflow.report.directory import check_report_directory as check_report_directory
from reluflow.report.directory import write_report as write_report
from reluflow.report.files.atomic import refuse_other_files as refuse_other_files
from reluflow.report.files.jsonfile import read_json as read_json
from reluflow.report.files.jsonfile import to_json as to_json
from reluflow.report.files.jsonfile import write_json as write_json
from reluflow.report.files.parquet import read_patterns as read_patterns
from reluflow.report.files.parquet import write_patterns_parquet as write_patterns_parquet
from reluflow.report.index import write_index as write_index
from reluflow.report.pages.attend import ATTEND_FILES as ATTEND_FILES
from reluflow.report.pages.attend import write_attended as write_attended
from reluflow.report.pages.cells import ANIMATION_FILES as ANIMATION_FILES
from reluflow.report.pages.cells import CELLS_FILES as CELLS_FILES
from reluflow.report.pages.cells import RASTER_FILES as RASTER_FILES
from reluflow.report.pages.cells import frame_of as frame_of
from reluflow.report.pages.cells import write_animation as write_animation
from reluflow.report.pages.cells import write_cells as write_cells
from reluflow.report.pages.cells import write_raster as write_raster
from reluflow.report.pages.over_time import write_recording_page as write_recording_page
from reluflow.report.pages.page import write_html as write_html
from reluflow.report.pages.psb import EVALUATION_FILES as EVALUATION_FILES
from reluflow.report.pages.psb import write_evaluation as write_evaluation
from reluflow.report.pictures.cells import draw_cells as draw_cells
from reluflow.report.pictures.cells import draw_raster as draw_raster
from reluflow.report.pictures.layer_time import save_layer_time as save_layer_time
from reluflow.report.pictures.phase_diagram import save_phase_diagram as save_phase_diagram
from reluflow.report.pictures.schedules import save_schedules as save_schedules
from reluflow.report.pictures.sensitivity import SENSITIVITY_FILES as SENSITIVITY_FILES
from reluflow.report.pictures.sensitivity import print_sensitivity as print_sensitivity
from reluflow.report.pictures.sensitivity import write_sensitivity as write_sensitivity
from reluflow.report.pictures.sites import write_pictures as write_pictures
from reluflow.report.pictures.transitions import save_transitions as save_transitions
from reluflow.report.text.attend import print_attended as print_attended
from reluflow.report.text.attention import print_attention as print_attention
from reluflow.report.text.cascade import print_cascade as print_cascade
from reluflow.report.text.cells import print_cells as print_cells
from reluflow.report.text.cells import print_cells_series as print_cells_series
from reluflow.report.text.drift import print_drift as print_drift
from reluflow.report.text.drift import print_drift_reference as print_drift_reference
from reluflow.report.text.edge import print_edge as print_edge
from reluflow.report.text.psb_profile import print_psb_profile as print_psb_profile
from reluflow.report.text.psb_terminal import print_allocation as print_allocation
from reluflow.report.text.psb_terminal import print_chains as print_chains
from reluflow.report.text.psb_terminal import print_conversion as print_conversion
from reluflow.report.text.psb_terminal import print_evaluation as print_evaluation
from reluflow.report.text.psb_terminal import print_psb_description as print_psb_description
from reluflow.report.text.slimming import print_slim as print_slim
from reluflow.report.text.terminal import print_inspection as print_inspection
from reluflow.report.text.terminal import print_table as print_table

__all__ = [
    "ANIMATION_FILES",
    "ATTEND_FILES",
    "CELLS_FILES",
    "EVALUATION_FILES",
    "RASTER_FILES",
    "SENSITIVITY_FILES",
    "check_report_directory",
    "draw_cells",
    "draw_raster",
    "frame_of",
    "print_allocation",
    "print_attended",
    "print_attention",
    "print_cascade",
    "print_cells",
    "print_cells_series",
    "print_chains",
    "print_conversion",
    "print_drift",
    "print_drift_reference",
    "print_edge",
    "print_evaluation",
    "print_inspection",
    "print_psb_description",
    "print_psb_profile",
    "print_sensitivity",
    "print_slim",
    "print_table",
    "read_json",
    "read_patterns",
    "refuse_other_files",
    "save_layer_time",
    "save_phase_diagram",
    "save_schedules",
    "save_transitions",
    "to_json",
    "write_animation",
    "write_attended",
    "write_cells",
    "write_evaluation",
    "write_html",
    "write_index",
    "write_json",
    "write_patterns_parquet",
    "write_pictures",
    "write_raster",
    "write_recording_page",
    "write_report",
    "write_sensitivity",
]
