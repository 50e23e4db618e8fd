"""Reports: terminal tables, JSON, Parquet, pictures and one page that works offline.

Imports results and computes nothing but their presentation.
"""

from reluflow.report._atomic import refuse_other_files as refuse_other_files
from reluflow.report.directory import check_report_directory as check_report_directory
from reluflow.report.directory import write_report as write_report
from reluflow.report.index import write_index as write_index
from reluflow.report.jsonfile import read_json as read_json
from reluflow.report.jsonfile import to_json as to_json
from reluflow.report.jsonfile import write_json as write_json
from reluflow.report.layer_time import save_layer_time as save_layer_time
from reluflow.report.over_time import write_recording_page as write_recording_page
from reluflow.report.page import write_html as write_html
from reluflow.report.parquet import write_patterns_parquet as write_patterns_parquet
from reluflow.report.phase_diagram import save_phase_diagram as save_phase_diagram
from reluflow.report.pictures import write_pictures as write_pictures
from reluflow.report.psb_page import EVALUATION_FILES as EVALUATION_FILES
from reluflow.report.psb_page import write_evaluation as write_evaluation
from reluflow.report.psb_terminal import print_conversion as print_conversion
from reluflow.report.psb_terminal import print_evaluation as print_evaluation
from reluflow.report.psb_terminal import print_psb_description as print_psb_description
from reluflow.report.schedules import save_schedules as save_schedules
from reluflow.report.sensitivity import SENSITIVITY_FILES as SENSITIVITY_FILES
from reluflow.report.sensitivity import print_sensitivity as print_sensitivity
from reluflow.report.sensitivity import write_sensitivity as write_sensitivity
from reluflow.report.terminal import print_inspection as print_inspection
from reluflow.report.terminal import print_table as print_table
from reluflow.report.transitions import save_transitions as save_transitions

__all__ = [
    "EVALUATION_FILES",
    "SENSITIVITY_FILES",
    "check_report_directory",
    "print_conversion",
    "print_evaluation",
    "print_inspection",
    "print_psb_description",
    "print_sensitivity",
    "print_table",
    "read_json",
    "refuse_other_files",
    "save_layer_time",
    "save_phase_diagram",
    "save_schedules",
    "save_transitions",
    "to_json",
    "write_evaluation",
    "write_html",
    "write_index",
    "write_json",
    "write_patterns_parquet",
    "write_pictures",
    "write_recording_page",
    "write_report",
    "write_sensitivity",
]
