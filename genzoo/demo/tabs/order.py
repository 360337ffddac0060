"""The tabs, in the order of the page: a new one is a file and a line here."""

from genzoo.demo.tabs.attend import AttendTab
from genzoo.demo.tabs.cards import CardsTab
from genzoo.demo.tabs.compare import CompareTab
from genzoo.demo.tabs.inpaint import InpaintTab
from genzoo.demo.tabs.interpolate import InterpolateTab
from genzoo.demo.tabs.quiz import QuizTab
from genzoo.demo.tabs.sample import SampleTab
from genzoo.demo.tabs.steer import SteerTab
from genzoo.demo.tabs.tab import Tab
from genzoo.demo.tabs.train import TrainTab
from genzoo.demo.tabs.translate import TranslateTab
from genzoo.demo.tabs.traverse import TraverseTab
from genzoo.demo.tabs.truncate import TruncateTab

TABS: tuple[type[Tab], ...] = (
    SampleTab,
    InterpolateTab,
    TraverseTab,
    SteerTab,
    TruncateTab,
    AttendTab,
    InpaintTab,
    TranslateTab,
    CompareTab,
    TrainTab,
    QuizTab,
    CardsTab,
)
